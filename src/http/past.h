/* How fast a counter grows, shown with the samples that a request asks for. */
#ifndef HTTP_PAST_H
#define HTTP_PAST_H

#include "http/samples.h"
#include "http/view.h"

struct item;

struct past {
    const struct trend *trend; /* NULL: nothing is known */
    const struct range *range; /* step 0: samples are not asked for */
    uint64_t wall_offset;      /* of the samples' times */
};

/* That of an object of a list, which is kept from now on if the range asks for samples; a view to
 * sort by asks for none. */
struct past past_of(const struct item *item, const struct view *view, const struct range *range,
                    struct sample_id id);

/* details: {"rate": ...} of the trend's counter; rate: as known without samples. */
void past_put(const struct past *past, size_t counter, struct view *view, const char *details,
              double rate);

#endif
