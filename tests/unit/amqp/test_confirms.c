/* Publisher confirms: what is told to the client, against a naive model. */
#include "amqp/confirms.h"
#include "unit.h"

#include <stdlib.h>

enum { PUBLISHES = 3000 };

struct client {
    bool acked[PUBLISHES + 1]; /* or refused */
    bool refused[PUBLISHES + 1];
    uint64_t calls;
};

static void on_ack(void *arg, uint64_t seq, bool multiple, bool refused)
{
    struct client *c = arg;
    c->calls++;
    cr_assert_gt(seq, 0);
    cr_assert_leq(seq, PUBLISHES);
    cr_assert_not(c->acked[seq], "number %lu told twice", (unsigned long)seq);
    for (uint64_t s = multiple ? 1 : seq; s <= seq; s++) {
        if (!c->acked[s])
            c->refused[s] = refused;
        c->acked[s] = true;
    }
}

UNIT(confirms, in_order_is_one_multiple)
{
    struct confirms cf = {0};
    struct client *c = calloc(1, sizeof *c);
    for (uint64_t s = 1; s <= 1000; s++)
        confirms_open(&cf, s, 1);
    confirms_answer(&cf, 1, 1000, false);
    confirms_flush(&cf, on_ack, c);
    cr_assert_eq(c->calls, 1);
    for (uint64_t s = 1; s <= 1000; s++)
        cr_assert(c->acked[s]);
    cr_assert_eq(confirms_waiting(&cf), 0);
    confirms_fini(&cf);
    free(c);
}

UNIT(confirms, unroutable_needs_no_answer)
{
    struct confirms cf = {0};
    struct client *c = calloc(1, sizeof *c);
    confirms_open(&cf, 1, 0);
    confirms_open(&cf, 2, 1);
    confirms_open(&cf, 3, 0);
    confirms_flush(&cf, on_ack, c);
    cr_assert(c->acked[1] && !c->acked[2] && c->acked[3]);
    confirms_answer(&cf, 2, 2, false);
    confirms_flush(&cf, on_ack, c);
    cr_assert(c->acked[2]);
    cr_assert_eq(confirms_waiting(&cf), 0);
    confirms_fini(&cf);
    free(c);
}

UNIT(confirms, refusals_are_told_in_order)
{
    struct confirms cf = {0};
    struct client *c = calloc(1, sizeof *c);
    for (uint64_t s = 1; s <= 10; s++)
        confirms_open(&cf, s, s == 4 ? 2 : 1);
    confirms_answer(&cf, 1, 2, false);
    confirms_answer(&cf, 3, 4, true); /* 4 waits for its other queue */
    confirms_answer(&cf, 5, 5, true);
    confirms_answer(&cf, 6, 6, false);
    confirms_flush(&cf, on_ack, c);
    cr_assert_eq(c->calls, 4); /* 2 and all before, 3, 5, 6 */
    cr_assert(!c->acked[4]);
    confirms_answer(&cf, 4, 4, false);
    confirms_answer(&cf, 7, 10, true);
    confirms_flush(&cf, on_ack, c);
    cr_assert_eq(c->calls, 5); /* 10 and all before */
    for (uint64_t s = 1; s <= 10; s++)
        cr_assert_eq(c->refused[s], s != 1 && s != 2 && s != 6, "number %lu", (unsigned long)s);
    cr_assert_eq(confirms_waiting(&cf), 0);
    confirms_fini(&cf);
    free(c);
}

/* Queues answer in any order; a publish is told once, as soon as the last of its queues answered.
 */
UNIT(confirms, any_order)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct confirms cf = {0};
        struct client *c = calloc(1, sizeof *c);
        uint32_t *left = calloc(PUBLISHES + 1, sizeof *left);
        bool *refused = calloc(PUBLISHES + 1, sizeof *refused);
        uint64_t opened = 0, open_from = 1;
        unsigned random = seed;
        while (open_from <= PUBLISHES) {
            random = random * 1103515245u + 12345u;
            unsigned what = random >> 16;
            if (opened < PUBLISHES && what % 3 != 0) {
                left[++opened] = what % 5;
                confirms_open(&cf, opened, left[opened]);
            } else if (opened >= open_from) {
                uint64_t s =
                    open_from + what % (opened - open_from + 1 < 40 ? opened - open_from + 1 : 40);
                if (left[s]) {
                    bool refuse = what % 11 == 0;
                    left[s]--;
                    refused[s] |= refuse;
                    confirms_answer(&cf, s, s, refuse);
                }
            }
            if (what % 7 == 0 || opened == PUBLISHES) {
                confirms_flush(&cf, on_ack, c);
                for (uint64_t s = 1; s <= opened; s++)
                    cr_assert_eq(c->acked[s], left[s] == 0, "seed %u number %lu", seed,
                                 (unsigned long)s);
            }
            while (open_from <= opened && !left[open_from])
                open_from++;
            if (opened < PUBLISHES)
                continue;
            for (uint64_t s = open_from; s <= PUBLISHES; s++) {
                while (left[s]) {
                    left[s]--;
                    confirms_answer(&cf, s, s, false);
                }
            }
            open_from = PUBLISHES + 1;
        }
        confirms_flush(&cf, on_ack, c);
        cr_assert_eq(confirms_waiting(&cf), 0);
        for (uint64_t s = 1; s <= PUBLISHES; s++)
            cr_assert_eq(c->refused[s], refused[s], "seed %u number %lu", seed, (unsigned long)s);
        confirms_fini(&cf);
        free(refused);
        free(left);
        free(c);
    }
}
