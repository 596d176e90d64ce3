/* How fast a counter grows, shown with the samples that a request asks for. */
#ifndef HTTP_PAST_H
#define HTTP_PAST_H

#include "http/trend.h"
#include "http/view.h"

struct past {
    const struct trend *trend; /* NULL: nothing is known */
    const struct range *range; /* step 0: samples are not asked for */
    uint64_t wall_offset;      /* of the samples' times */
};

/* details: {"rate": ...} of the trend's counter; rate: as known without samples. */
void past_put(const struct past *past, size_t counter, struct view *view, const char *details,
              double rate);

#endif
