#include "http/sums.h"

#include "broker/broker.h"

#define NAME(name)            \
    {                         \
        name, name "_details" \
    }

const struct sum_name sums_of_vhost[SUMS_OF_VHOST] = {
    NAME("publish"),
    NAME("confirm"),
    NAME("return_unroutable"),
    NAME("drop_unroutable"),
    NAME("deliver_get"),
    NAME("deliver"),
    NAME("deliver_no_ack"),
    NAME("get"),
    NAME("get_no_ack"),
    NAME("get_empty"),
    NAME("redeliver"),
    NAME("ack"),
    NAME("messages"),
    NAME("messages_ready"),
    NAME("messages_unacknowledged"),
    NAME("recv_oct"),
    NAME("send_oct"),
};

const struct sum_name sums_of_exchange[SUMS_OF_EXCHANGE] = {
    [EXCHANGE_IN] = NAME("publish_in"),
    [EXCHANGE_OUT] = NAME("publish_out"),
};

/* Of several counters, from the first to the last. */
static struct tally_sum all_of(const struct vhost *vhost, unsigned first, unsigned last)
{
    struct tally_sum all = {0, 0};
    for (unsigned i = first; i <= last; i++) {
        struct tally_sum one = tally_of_vhost(vhost, i);
        all = (struct tally_sum){all.sum + one.sum, all.growth + one.growth};
    }
    return all;
}

void sums_read_vhost(const struct vhost *vhost, struct tally_sum ret_sums[SUMS_OF_VHOST])
{
    static const struct {
        unsigned first, last;
    } counters[SUMS_OF_VHOST] = {
        {TOTAL_PUBLISHED, TOTAL_PUBLISHED},
        {TOTAL_CONFIRMED, TOTAL_CONFIRMED},
        {TOTAL_RETURNED, TOTAL_RETURNED},
        {TOTAL_DROPPED, TOTAL_DROPPED},
        {TOTAL_DELIVERED, TOTAL_GOT_NO_ACK},
        {TOTAL_DELIVERED, TOTAL_DELIVERED},
        {TOTAL_DELIVERED_NO_ACK, TOTAL_DELIVERED_NO_ACK},
        {TOTAL_GOT, TOTAL_GOT},
        {TOTAL_GOT_NO_ACK, TOTAL_GOT_NO_ACK},
        {TOTAL_GOT_EMPTY, TOTAL_GOT_EMPTY},
        {TOTAL_REDELIVERED, TOTAL_REDELIVERED},
        {TOTAL_ACKED, TOTAL_ACKED},
        {VHOST_READY, VHOST_UNACKED},
        {VHOST_READY, VHOST_READY},
        {VHOST_UNACKED, VHOST_UNACKED},
        {VHOST_RECV_OCT, VHOST_RECV_OCT},
        {VHOST_SEND_OCT, VHOST_SEND_OCT},
    };
    for (size_t i = 0; i < SUMS_OF_VHOST; i++)
        ret_sums[i] = all_of(vhost, counters[i].first, counters[i].last);
}

void sums_read_exchange(const struct exchange *x, struct tally_sum ret_sums[SUMS_OF_EXCHANGE])
{
    for (unsigned i = 0; i < SUMS_OF_EXCHANGE; i++)
        ret_sums[i] = tally_of_exchange(x, (enum exchange_count)i);
}
