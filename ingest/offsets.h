/* What of a partition of a log may be acknowledged: everything in front of the first message that is not through yet.
 *
 * Each message that was dealt with is noted with the epoch it was submitted in (pipeline/epochs.h) and the offset behind it. Epochs
 * only grow, so that messages of one epoch share an entry and a mark passes entries in order. Offsets grow too, unless the log began
 * anew or was read again from an earlier place: then the offset given out goes back as well, to where reading is. A message of which a copy
 * is on its way to the dead-letter topic keeps its entry until the copy has arrived.
 *
 * Two steps lead to acknowledging. The mark of the source passes an entry: the spans are decided and the sinks have let go of what
 * was kept. The store lets go when the bytes are in its file, before they are synced; so the number of its newest record is taken
 * at that moment, and the offset is given out only when everything up to that number is durable.
 *
 * One thread. Pure: no clock, no I/O. Memory is bounded: beyond SM_OFFSETS_ENTRIES_MAX entries the newest takes up what comes,
 * which only delays. */
#ifndef SM_OFFSETS_H
#define SM_OFFSETS_H

#include "base/base.h"

#define SM_OFFSETS_ENTRIES_MAX 16384 /* 27 minutes of epochs */
#define SM_OFFSET_NONE         INT64_C(-1)

/* How far the store has come; without a store every function is NULL, and what the sinks have let go of counts as durable. */
struct sm_durable {
    uint64_t (*written)(void *ctx); /* number of the newest record that is in a file */
    uint64_t (*durable)(void *ctx); /* ... and of the newest one that a crash of the machine leaves */
    void *ctx;
};

struct sm_offsets_entry {
    int64_t next;     /* offset behind its last message */
    uint32_t epoch;   /* of its newest message */
    uint32_t letters; /* copies on their way to the dead-letter topic */
    uint64_t id;      /* names it while copies are on their way */
};

struct sm_offsets {
    struct sm_offsets_entry *entries; /* a ring */
    uint32_t capacity, first, count;
    uint64_t next_id;
    int64_t passed;     /* the mark is behind it, its records are not known to be durable; SM_OFFSET_NONE: none */
    uint64_t passed_at; /* record up to which the store must be durable for it */
};

void sm_offsets_init(struct sm_offsets *o);
void sm_offsets_fini(struct sm_offsets *o);

/* The message in front of offset `next` was submitted in this epoch, which is not below one noted before. */
void sm_offsets_note(struct sm_offsets *o, uint32_t epoch, int64_t next);

/* The message noted last was copied: its entry waits for sm_offsets_arrived with the number returned. */
uint64_t sm_offsets_copied(struct sm_offsets *o);
/* Unknown numbers are ignored. */
void sm_offsets_arrived(struct sm_offsets *o, uint64_t id);

/* Goes on to where the mark is: `low` is the first epoch of the source that is not through. Returns the offset to acknowledge, the
 * first message that may have to be read again; SM_OFFSET_NONE when there is nothing new. */
int64_t sm_offsets_step(struct sm_offsets *o, uint32_t low, const struct sm_durable *durable);

/* True when everything that was noted has been given out. */
bool sm_offsets_settled(const struct sm_offsets *o);

#endif
