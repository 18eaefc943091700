/* struct sm_store, shared by the files that implement store/store.h: store.c (life, writing), read.c and search.c. */
#ifndef SM_STORE_INTERNAL_H
#define SM_STORE_INTERNAL_H

#include "base/buf.h"
#include "store/env.h"
#include "store/list.h"
#include "store/record.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define SM_STORE_READERS_IDLE 4
#define SM_STORE_SAMPLES      7

struct sm_store {
    char *dir;
    int dir_fd;
    int lock_fd;
    struct sm_store_options options; /* with defaults filled in */
    struct sm_store_env env;

    pthread_mutex_t lock; /* guards list and readers; held for a few instructions */
    struct sm_segment_list *list;
    struct sm_block_reader *readers[SM_STORE_READERS_IDLE];
    uint32_t reader_count;

    /* The writer thread's own. */
    struct sm_segment *active; /* the last of the list, or NULL before the first append */
    uint64_t next_segment_id;
    struct sm_block_writer *packer;
    struct sm_record_scratch scratch;
    struct sm_buf block;        /* records of the current block */
    uint64_t block_spans, block_first;
    uint8_t *samples;           /* pieces of the last blocks, for the next dictionary */
    uint32_t sample_next, sample_count;
    uint64_t appended;          /* sequence number of the newest record */
    bool dir_dirty;             /* a file was created since the directory was synced */
    bool sync_failed;           /* what lies behind synced_size may be lost to the kernel: write it again */
    uint64_t synced_size;       /* of the active segment */
    int64_t now_ns;             /* the last tick, or opening */
    int64_t unsynced_since_ns;  /* 0: all is durable */
    int64_t retention_next_ns, seal_not_before_ns, renew_not_before_ns;

    _Atomic uint64_t written, durable;
};

/* The current list with a reference, for sm_list_put. */
struct sm_segment_list *sm_store_list(struct sm_store *store);

/* A block reader from the pool. */
struct sm_block_reader *sm_store_reader_get(struct sm_store *store);
void sm_store_reader_put(struct sm_store *store, struct sm_block_reader *reader);

#endif
