/* Serves the management page. Its files are looked up by name in a table: no path of the request
 * ever reaches the file system. */
#include "http/handlers.h"
#include "http/page.h"
#include "http/session.h"

static const struct page_file *find_file(struct slice name)
{
    for (size_t i = 0; i < page_file_count; i++) {
        if (slice_eq_str(name, page_files[i].name))
            return &page_files[i];
    }
    return NULL;
}

void api_page(struct session *s)
{
    reply_file(s, find_file(SLICE("index.html")));
}

void api_page_file(struct session *s)
{
    const struct page_file *file = find_file(s->args[0]);
    if (file)
        reply_file(s, file);
    else
        reply_not_found(s);
}
