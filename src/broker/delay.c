/* No state, any thread. */
#include "broker/delay.h"

#include "base/table.h"

static int64_t number_of_text(struct slice text)
{
    int64_t n = 0;
    size_t i = text.len && text.data[0] == '+';
    if (i == text.len)
        return 0;
    for (; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return 0;
        n = n > (int64_t)DELAY_MAX ? n : n * 10 + (text.data[i] - '0');
    }
    return n;
}

static int64_t number_of_real(double real)
{
    return real < (double)DELAY_MAX ? real > 0 ? (int64_t)real : 0 : (int64_t)DELAY_MAX;
}

static double decimal(const struct table_value *v)
{
    double n = v->decimal.digits;
    for (unsigned i = 0; i < v->decimal.scale; i++)
        n /= 10;
    return n;
}

static int64_t number_of(const struct table_value *v)
{
    switch (v->type) {
    case TABLE_LONGSTR:
        return number_of_text(v->bytes);
    case TABLE_FLOAT:
    case TABLE_DOUBLE:
        return number_of_real(v->real);
    case TABLE_DECIMAL:
        return number_of_real(decimal(v));
    default:
        return table_is_int(v->type) ? v->integer : 0;
    }
}

uint64_t delay_of(struct slice headers)
{
    struct table_value value;
    if (!headers.len || !table_find(headers, SLICE("x-delay"), &value))
        return 0;
    int64_t n = number_of(&value);
    if (n <= 0)
        return 0;
    return (uint64_t)n < DELAY_MAX ? (uint64_t)n : DELAY_MAX;
}

void delay_put_over(struct slice headers, struct buf *out)
{
    int64_t n = -(int64_t)delay_of(headers);
    struct table_value over = {.type = n >= INT32_MIN ? TABLE_I32 : TABLE_I64, .integer = n};
    table_replace(headers, SLICE("x-delay"), &over, out);
}
