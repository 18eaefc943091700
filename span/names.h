/* Interned names: span names and service names as 32-bit ids, shared by all workers.
 *
 * The shared table is append-only and bounded (count and bytes): names are never reclaimed, since series and edges refer to
 * them for as long as the process lives. Past the limit a name gets SM_NAME_OVERFLOW, and whoever needs its text reads it
 * from the span's bytes. Each worker looks names up in a cache of its own without locks; only the first sight of a name by a
 * worker takes the table's mutex, and once the table is full not even that. Reading by id needs no lock on any thread that got
 * the id through a pipeline queue. */
#ifndef SM_NAMES_H
#define SM_NAMES_H

#include "base/base.h"

#define SM_NAME_OVERFLOW UINT32_C(0)
#define SM_NAME_EMPTY    UINT32_C(1)

struct sm_names;
struct sm_names_cache;

struct sm_names *sm_names_new(uint32_t count_max, size_t bytes_max);
void sm_names_free(struct sm_names *names);

/* Before the table is used: so many places and bytes of the limit are left to sm_names_intern; caches do not fill them. An
 * application that writes ids into the names of its spans then leaves room for services that come later. */
void sm_names_reserve(struct sm_names *names, uint32_t count, size_t bytes);

/* The text of an id; the view stays valid as long as the table. SM_NAME_OVERFLOW reads as "(overflow)". */
struct sm_str sm_names_get(const struct sm_names *names, uint32_t id);
uint32_t sm_names_count(const struct sm_names *names);
/* Look-ups that ended in SM_NAME_OVERFLOW. */
uint64_t sm_names_overflowed(const struct sm_names *names);

/* Any thread, cold path (takes the mutex). SM_NAME_OVERFLOW when the table is full. */
uint32_t sm_names_intern(struct sm_names *names, struct sm_str text);
/* Any thread: the id of a text that is already interned, else SM_NAME_OVERFLOW. */
uint32_t sm_names_find(struct sm_names *names, struct sm_str text);

/* One per worker, used by that worker only. To free before the table. */
struct sm_names_cache *sm_names_cache_new(struct sm_names *names);
void sm_names_cache_free(struct sm_names_cache *cache);
uint32_t sm_names_cache_id(struct sm_names_cache *cache, struct sm_str text);

#endif
