/* What the files of the journal share: segments and the format of what is in them.
 *
 * Segment: a head of 512 bytes {magic, crc32c over the rest of the head, version, generation},
 * then frames. The head is synced before the first frame is written. In every version the magic,
 * the crc and the version are where they are now. All integers are little-endian. */
#ifndef STORE_JOURNAL_PRIV_H
#define STORE_JOURNAL_PRIV_H

#include "store/journal.h"

#include <pthread.h>

enum {
    JOURNAL_VERSION = 3,        /* 1 and 2 had fewer kinds of records */
    JOURNAL_SIZE_MAX = 1 << 30, /* of a segment */
    JOURNAL_PAGE = 4096,        /* of the page cache */
    JOURNAL_PIECE = 4 << 20,    /* written by one journal_prepare */
    JOURNAL_KEEP = 6,           /* free segments beyond this are unlinked */
    JOURNAL_SMALL = 4096,       /* units up to this are copied side by side */
    JOURNAL_STAGING = 1 << 20   /* room for these that is kept */
};

#define JOURNAL_DIRECTORY "journal"
#define JOURNAL_MAGIC     "JKLJRNL\n"

/* A segment's head. */
enum {
    SEGMENT_MAGIC = 0,
    SEGMENT_CRC = 8,      /* u32, over the rest of the 512 bytes */
    SEGMENT_VERSION = 12, /* u32 */
    SEGMENT_GENERATION = 16
};
/* A frame's head. */
enum {
    FRAME_LENGTH = 0, /* u32, of the payload: 1 .. JOURNAL_UNIT_MAX */
    FRAME_CRC = 4,    /* u32, over length, everything behind crc, and the payload */
    FRAME_GENERATION = 8,
    FRAME_LSN = 16,
    FRAME_DURABLE = 24,
    FRAME_HEAD = 32
};

enum segment_state {
    SEGMENT_FOUND, /* when opened: what is in it is not known yet */
    SEGMENT_USED,  /* has frames that are needed, or is being written */
    SEGMENT_FREE,  /* its frames are not needed; needs another generation first */
    SEGMENT_READY, /* has a new generation and no frame */
    SEGMENT_BAD    /* cannot be read */
};

struct segment {
    char name[32]; /* below the disk: "journal/segment-0003" */
    unsigned number;
    int file;
    uint32_t size;
    enum segment_state state;
    bool headless;       /* its head was damaged, the generation is that of its frames */
    bool strange;        /* no head, no frames, but not zeros either */
    uint64_t generation; /* 0: unknown */
    uint64_t last_lsn;   /* 0: none */
    uint64_t limit;      /* while it is replayed: its frames are below */
};

struct journal {
    struct disk *disk;
    uint32_t segment_size;
    unsigned segments_max;
    bool read_only, replayed;
    uint64_t seed;

    /* the writer's */
    struct segment *active;
    uint32_t offset; /* of the next frame in the active segment */
    uint32_t clean;  /* up to here its pages were written by us: in the cache, zero behind offset */
    bool dirty;
    uint8_t *staging; /* head and small units of the frame that is written */
    size_t staging_cap;
    unsigned staging_unneeded; /* frames since that much was needed */
    struct iovec *iov;
    size_t iov_cap;

    struct strange {
        char name[32];
        uint32_t bytes;
    } * strange; /* segments that are; owned */
    size_t strange_count, strange_cap;

    /* guarded by lock; segments are added and removed under make_lock too */
    pthread_mutex_t lock;
    struct segment **segments; /* owned */
    size_t segment_count, segment_cap;
    uint64_t lsn, durable, frames, bytes, syncs;
    bool failed;      /* read without lock too */
    const char *full; /* why, a literal */
    bool at_most;     /* and that for the number of segments; under lock */
    char error[256];  /* set once */

    pthread_mutex_t make_lock; /* one makes segments; taken before lock */
    struct segment *making;    /* not in segments yet */
    uint32_t made;             /* bytes of it */
    uint32_t counter;          /* of generations: the last one */
};

/* ---- journal.c ---- */
/* The process is to end; what and where for journal_error. Returns JOURNAL_FAILED. */
enum journal_status journal_fail(struct journal *j, const char *what, const char *where, int error);
enum journal_status journal_set_full(struct journal *j, const char *why);

static inline bool journal_failed(const struct journal *j)
{
    return __atomic_load_n(&j->failed, __ATOMIC_ACQUIRE);
}

/* ---- journal_segment.c ---- */
uint64_t segment_new_generation(struct journal *j);
void segment_note_generation(struct journal *j, uint64_t generation);
void segment_put_head(uint8_t *head, uint64_t generation);
/* One with a new generation for the writer, by whatever it takes. */
enum journal_status segment_take(struct journal *j, struct segment **ret_segment);
void segment_add(struct journal *j, struct segment *s);
/* Takes it out of the list, and unlinks it. As the next with make_lock held, without lock. */
void segment_remove(struct journal *j, struct segment *s);
/* Those that are free, but not of the size that segments have now. */
void segment_remove_odd(struct journal *j);
/* Up to n bytes, less at its end; or -errno. */
int64_t segment_read(struct journal *j, const struct segment *s, void *data, size_t n,
                     uint64_t offset);
void segment_free(struct journal *j, struct segment **segment);
/* A segment that is half made is gone. */
void segment_stop_making(struct journal *j);

/* ---- journal_replay.c ---- */
/* A frame as found. */
struct frame {
    uint64_t generation, lsn, durable;
    uint32_t offset, length; /* of its head; of its payload */
    const uint8_t *payload;
};
static inline uint32_t frame_end(uint32_t offset, uint32_t length)
{
    uint32_t end = offset + FRAME_HEAD + length;
    return (end + JOURNAL_ALIGNMENT - 1) / JOURNAL_ALIGNMENT * JOURNAL_ALIGNMENT;
}
/* Sets the generation of a segment without a head by its frames, if it has any; if not, whether it
 * is strange. False: the disk cannot read parts of it. */
bool segment_guess_generation(struct journal *j, struct segment *s);

/* ---- bytes ---- */
static inline void put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline void put_le64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline uint32_t get_le32(const uint8_t *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}
static inline uint64_t get_le64(const uint8_t *p)
{
    return get_le32(p) | (uint64_t)get_le32(p + 4) << 32;
}

#endif
