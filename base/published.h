/* A value that one thread replaces now and then and others read without locks: settings, tables of rates.
 *
 * A value never changes once it is published. Whoever reads holds it by a reader of its own (a hazard pointer); a value
 * that was replaced is freed by the next sm_published_set that finds nobody holding it.
 *
 *     struct sm_published *p = sm_published_new(free);
 *     struct sm_published_reader *r = sm_published_join(p);    per reading thread, before it starts
 *
 *     publisher:  sm_published_set(p, value);
 *     reader:     const struct x *v = sm_published_hold(r); ... ; sm_published_let_go(r); */
#ifndef SM_PUBLISHED_H
#define SM_PUBLISHED_H

#include "base/base.h"

struct sm_published;
struct sm_published_reader;

struct sm_published *sm_published_new(void (*free_value)(void *value)) SM_MUST_USE;
/* Nobody reads any more. Frees the readers, too. NULL is allowed. */
void sm_published_free(struct sm_published *p);

/* The publisher's thread. */
struct sm_published_reader *sm_published_join(struct sm_published *p) SM_MUST_USE;

/* The publisher's thread; takes the value. */
void sm_published_set(struct sm_published *p, void *value);

/* One thread per reader, one hold at a time. NULL: nothing has been published yet. */
const void *sm_published_hold(struct sm_published_reader *r) SM_MUST_USE;
void sm_published_let_go(struct sm_published_reader *r);

#endif
