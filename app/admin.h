/* The metrics listener: /metrics, /-/healthy, /-/ready. On the control loop. */
#ifndef SM_ADMIN_H
#define SM_ADMIN_H

#include "base/prom.h"
#include "ingest/receiver.h"

struct sm_admin;

/* Never NULL; err->rc is not SM_OK when the address cannot be listened on. Of the listener it takes address, limits and door.
 * `before_scrape` brings figures up to date (may be NULL). */
struct sm_admin *sm_admin_open(struct sm_loop *loop, const struct sm_listener *listener, const struct sm_prom_registry *registry,
                               void (*before_scrape)(void *ctx), void *ctx, uint16_t *port, struct sm_err *err) SM_MUST_USE;
const struct sm_http_counters *sm_admin_counters(const struct sm_admin *a);
/* Readiness: true once everything runs, false again while draining. */
void sm_admin_set_ready(struct sm_admin *a, bool ready);
/* Stops serving; the memory goes with sm_admin_free, after the loop has been freed. NULL is allowed. */
void sm_admin_close(struct sm_admin *a);
void sm_admin_free(struct sm_admin *a);

#endif
