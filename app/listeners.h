/* What stands in front of each listener: limits, certificates, credentials, pages of other sites, sockets in the file system.
 *
 * Control thread. Made before the listeners are opened, freed after they are closed and their loops are gone. */
#ifndef SM_LISTENERS_H
#define SM_LISTENERS_H

#include "app/config.h"
#include "base/prom.h"
#include "ingest/receiver.h"

struct sm_listeners;

/* Loads every file. NULL after filling *err. Sockets in the file system are opened by sm_listeners_fill. */
struct sm_listeners *sm_listeners_new(const struct sm_config *config, struct sm_err *err) SM_MUST_USE;
/* NULL is allowed. */
void sm_listeners_free(struct sm_listeners *l);

/* Fills limits and door of the listener whose address stands at `offset` of struct sm_config, and its address when that is a
 * socket in the file system, which is opened now. `spans`: it takes spans, so that pages may post to it. */
enum sm_rc sm_listeners_fill(struct sm_listeners *l, size_t offset, bool spans, struct sm_listener *listener,
                             struct sm_err *err) SM_MUST_USE;
/* Closes the sockets in the file system of those that take spans, so that nobody waits there for a daemon that is going. */
void sm_listeners_drain(struct sm_listeners *l);
/* Its connections are counted here, too, for as long as the object lives; an instance per call. NULL: nothing to count. */
void sm_listeners_watch(struct sm_listeners *l, size_t offset, const struct sm_http_counters *counters);

/* Loads what changed, or everything; says what happened. */
void sm_listeners_refresh(struct sm_listeners *l, bool forced);

/* Collector for sm_prom_registry_add; ctx is the object. */
void sm_listeners_metrics(void *ctx, struct sm_prom *p);
/* Every family with every label, for help; ctx unused. */
void sm_listeners_metrics_sample(void *ctx, struct sm_prom *p);

#endif
