/* Every limit of back-pressure in one place: what is bounded, at which mark it stops, at which it
 * goes on. Streams have theirs in net/stream.h, rings in shard/shard_priv.h. */
#ifndef BROKER_LIMITS_H
#define BROKER_LIMITS_H

enum {
    /* Messages on their way from a queue to one consumer's channel and not yet written towards the
     * socket. The channel gives credit back once its stream is below the high mark. */
    CONSUMER_WINDOW = 512,
    /* Credit is given back in portions, so that a delivery does not cost an op each. */
    CONSUMER_CREDIT_PORTION = 64,
    /* Same for a consumer under a channel-wide prefetch: the channel sends back what it may not
       keep. */
    CONSUMER_WINDOW_GLOBAL = 1,
    /* Requests of one channel that are on their way to queues or the metadata master; more wait in
       the socket until half of them were answered. */
    CHANNEL_REQUESTS = 1024,
    /* A body is received into a buffer that grows with what has really come. */
    BODY_FIRST_ALLOCATION = 64 * 1024,
    /* Bodies up to this are copied into the stream's chunks, larger ones are referenced. */
    BODY_COPY_MAX = 4 * 1024,
    /* Chunks of ready messages kept per shard for the next queue that needs one. */
    READY_CHUNKS_KEPT = 64,
    /* Ready messages of a queue that stay in memory, by their number and by the bytes of their
     * bodies; the others are in the store alone. That much while the queues of a shard hold up to
     * READY_SHARD_BYTES; eight times as much below half of that, a sixteenth beyond. */
    READY_WINDOW = 2048,
    READY_WINDOW_BYTES = 1 << 20,
    READY_SHARD_BYTES = 64 << 20,
    /* The same for queues whose messages the store has not got: to send them there costs a write.
     * Below half of that nothing of theirs leaves. */
    READY_TRANSIENT_BYTES = 128 << 20,
    /* Publishes that the queues of a shard keep while they read, after a start, which values of
     * x-deduplication-header they have; who publishes more to one of them waits until it has, and
     * so do queues with their dead letters. */
    READY_RECALL_BYTES = 4 << 20,
    /* Publishes on their way through a deduplicating exchange to its queues; who publishes more to
     * it waits until half of that has arrived. */
    PASSING_BYTES = 16 << 20,
    /* Dead letters of a shard's queues that have come to some of the queues that they are for, and
     * not to all: who has them is in memory, about 100 octets for each. */
    LETTERS_KNOWN = 1 << 16,
    /* A queue that is longer is kept in step with its consumers (queue/pace.h), and so many
     * messages that publishers may be ahead of these. */
    PACE_BYTES = 16 << 20,
    PACE_AHEAD = 256,
    /* Bodies in a chunk of ready messages: then the next one is begun. */
    READY_CHUNK_BYTES = 256 << 10,
    /* What is read back at a time. */
    READY_PORTION = 2048,
    READY_PORTION_BYTES = 1 << 20,
    /* Messages that are known as one when they are in the store alone and some expire. */
    READY_EXTENT = 4096,
};

#endif
