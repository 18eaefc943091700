/* What late spans change: the links and calls of a trace with them, less those of the trace before.
 *
 * A link of before that the late spans took away (a client's word that its server's late span replaces) stays counted:
 * counters only grow. One per shard; allocates when a late trace is larger than all before it. */
#ifndef SM_LATE_LINKS_H
#define SM_LATE_LINKS_H

#include "analysis/linker.h"

struct sm_late_links;

struct sm_late_links *sm_late_links_new(void);
void sm_late_links_free(struct sm_late_links *l);

/* `view` has context. Valid until the linker's next walk. */
const struct sm_linked *sm_late_links(struct sm_late_links *l, struct sm_linker *linker, const struct sm_view *view);

#endif
