#include "base/err.h"
#include "unit.h"

#include "base/utf8.h"

#include <string.h>

UNIT(err, every_row_is_complete)
{
    for (int i = ERR_NONE + 1; i < ERR_COUNT; i++) {
        const struct err_info *info = err_info((enum err)i);
        cr_assert(info->name && *info->name && info->text && *info->text);
        cr_assert(info->amqp_code >= 311 && info->amqp_code <= 541);
        cr_assert(info->http_status >= 400 && info->http_status < 600);
        cr_assert(info->exit_code >= 64 && info->exit_code <= 78);
        for (int j = ERR_NONE; j < i; j++)
            cr_assert_neq(info->amqp_code, err_info((enum err)j)->amqp_code);
    }
    cr_assert_eq(err_info(ERR_NOT_FOUND)->amqp_code, 404);
    cr_assert_eq(err_info(ERR_CONNECTION_FORCED)->scope, ERR_SCOPE_CONNECTION);
}

UNIT(err, failure_says_why)
{
    struct failure why;
    cr_assert_eq(failure_set(&why, ERR_NOT_FOUND, "no queue '%s'", "q"), ERR_NOT_FOUND);
    cr_assert_eq(why.code, ERR_NOT_FOUND);
    cr_assert_not(why.hard);
    cr_assert_str_eq(why.text, "no queue 'q'");
    cr_assert_eq(failure_set_hard(&why, ERR_ACCESS_REFUSED, "x"), ERR_ACCESS_REFUSED);
    cr_assert(why.hard);
    cr_assert_eq(failure_set(NULL, ERR_NOT_FOUND, "nobody asks"), ERR_NOT_FOUND);
}

UNIT(err, reply_text_fits_a_short_string)
{
    struct failure why;
    char room[256], name[2000];
    failure_set(&why, ERR_NOT_FOUND, "no queue 'q' in vhost '/'");
    unsigned n = failure_reply_text(&why, room);
    cr_assert_str_eq(room, "NOT_FOUND - no queue 'q' in vhost '/'");
    cr_assert_eq(n, strlen(room));
    /* one, two, three and four bytes a character: never cut within one */
    const char *const chars[] = {"a", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x90\xb0"};
    for (unsigned c = 0; c < 4; c++) {
        for (unsigned count = 200 / (c + 1); count < 300; count++) {
            size_t len = 0;
            for (unsigned i = 0; i < count && len + 8 < sizeof name; i++, len += c + 1)
                memcpy(name + len, chars[c], c + 1);
            name[len] = '\0';
            failure_set(&why, ERR_NOT_FOUND, "%s", name);
            n = failure_reply_text(&why, room);
            cr_assert_leq(n, 255);
            cr_assert_eq(n, strlen(room));
            cr_assert(utf8_valid(slice_of(room, n)));
            if (len + 12 > 255)
                cr_assert_str_eq(room + n - 3, "...");
        }
    }
}
