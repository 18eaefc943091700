/* The metrics listener: /metrics, /-/healthy, /-/ready. On the control loop. */
#ifndef SM_ADMIN_H
#define SM_ADMIN_H

#include "base/net/http.h"
#include "base/prom.h"

struct sm_admin;

/* Never NULL; *port is 0 and *err says why when the address cannot be listened on. `before_scrape` brings figures up to date
 * (may be NULL). */
struct sm_admin *sm_admin_open(struct sm_loop *loop, const struct sm_http_limits *limits, const char *address,
                               const struct sm_prom_registry *registry, void (*before_scrape)(void *ctx), void *ctx,
                               uint16_t *port, struct sm_err *err) SM_MUST_USE;
/* Readiness: true once everything runs, false again while draining. */
void sm_admin_set_ready(struct sm_admin *a, bool ready);
/* Stops serving; the memory goes with sm_admin_free, after the loop has been freed. NULL is allowed. */
void sm_admin_close(struct sm_admin *a);
void sm_admin_free(struct sm_admin *a);

#endif
