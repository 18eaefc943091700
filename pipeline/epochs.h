/* What is live, per source and epoch: the base of every acknowledgement.
 *
 * An epoch is 100 ms of a source's payloads. Every open trace counts once in the oldest epoch of each source that gave it
 * spans; so does every kept trace until its sinks are through. The low-water mark of a source is its oldest epoch that still
 * counts anything: payloads before it can be acknowledged (Kafka offsets, journal files), entries not used since can be
 * reclaimed. Epoch numbers are process-wide ticks. One set per shard, changed by its thread; the low-water marks are
 * published for others.
 *
 * A published mark is never above what lives: publishing raises it, holding something older lowers it at once. So whoever
 * learns (with acquire) that a shard has taken in a payload sees a mark that knows of it; sm_worker_low_epoch rests on that. */
#ifndef SM_EPOCHS_H
#define SM_EPOCHS_H

#include "base/base.h"

#include <stdatomic.h>

#define SM_EPOCH_SOURCES_MAX 1024
#define SM_EPOCHS_LIVE_MAX   16384 /* 27 minutes: what is younger than that beside something so old counts as older than it is */
#define SM_EPOCH_NONE        UINT32_MAX

struct sm_epochs;

struct sm_epochs *sm_epochs_new(void);
void sm_epochs_free(struct sm_epochs *e);

/* Owner. Counts one more (one less) live thing; returns the epoch it counts in, which `drop` must be given. */
uint32_t sm_epochs_hold(struct sm_epochs *e, uint16_t source, uint32_t epoch);
void sm_epochs_drop(struct sm_epochs *e, uint16_t source, uint32_t epoch);

/* Owner: the source's oldest live epoch; SM_EPOCH_NONE when nothing lives. */
uint32_t sm_epochs_oldest(const struct sm_epochs *e, uint16_t source);

/* Owner: publishes the marks; `current` is the epoch of now. */
void sm_epochs_publish(struct sm_epochs *e, uint32_t current);

/* Any thread: the source's oldest live epoch, or the current one when nothing is live, as last published. SM_EPOCH_NONE: the
 * source was never seen. */
uint32_t sm_epochs_low(const struct sm_epochs *e, uint16_t source);
/* Any thread: over all sources. */
uint32_t sm_epochs_low_all(const struct sm_epochs *e);

#endif
