/* Interned resources and scopes: a shared table under a mutex, per-worker caches, reclamation in quiescent steps.
 *
 * Reclaim protocol: the control thread marks entries unused since before the oldest live epoch as dead and raises the
 * round number. A worker that finds a dead entry in its cache interns its content anew (a second entry with the same
 * content is harmless). When every cache has purged its dead entries and acknowledged the round, no worker can reach them
 * any more: those still unused are freed, those that a worker had touched in between are revived. */
#include "span/scope.h"

#include "base/hash.h"
#include "span/attr.h"

#include <pthread.h>
#include <stdlib.h>

enum { BLOCK_SCOPES = 4096, BLOCKS_MAX = SM_SCOPES_MAX / BLOCK_SCOPES };

/* Resources and scopes share this table shape: entries chained by hash in buckets. */
struct entry {
    struct entry *next; /* bucket chain; next dead entry while being reclaimed */
    bool is_scope;
    union {
        struct sm_resource resource;
        struct sm_scope scope;
    };
    uint32_t scopes_live; /* of a resource: scopes that refer to it */
    size_t bytes;
    char text[];
};

struct sm_scopes {
    struct sm_names *names;
    struct sm_scope **blocks[BLOCKS_MAX]; /* scope by id; written under the mutex, read by holders of the id */
    pthread_mutex_t mutex;
    struct entry **buckets;
    uint32_t bucket_count;
    uint32_t count;
    uint32_t count_max;
    size_t bytes;
    size_t bytes_max;
    uint32_t scope_id_next, resource_id_next;
    uint32_t *scope_ids_free, *resource_ids_free; /* stacks */
    uint32_t scope_ids_free_count, resource_ids_free_count;
    struct entry *dying; /* dead entries of the round under way */
    _Atomic uint32_t round;
    struct sm_scopes_cache *caches;
};

struct cache_slot {
    uint64_t hash;
    struct entry *entry; /* NULL: free */
};

struct sm_scopes_cache {
    struct sm_scopes *scopes;
    struct sm_names_cache *names;
    struct cache_slot *slots;
    uint32_t mask;
    uint32_t used;
    _Atomic uint32_t round_seen;
    struct sm_scopes_cache *next;
};

/* What identifies an entry: its content and, for a scope, its resource. */
struct key {
    const struct sm_resource *resource; /* NULL: a resource entry */
    struct sm_str bytes, schema_url;
    uint64_t hash;
};

static struct key make_key(const struct sm_resource *resource, struct sm_str bytes, struct sm_str schema_url)
{
    uint64_t hash = sm_hash_bytes(bytes.ptr, bytes.len);
    if (schema_url.len)
        hash = sm_hash_combine(hash, sm_hash_bytes(schema_url.ptr, schema_url.len));
    hash = sm_hash_combine(hash, (uint64_t)(uintptr_t)resource);
    return (struct key){resource, bytes, schema_url, hash};
}

static bool is_dead(const struct entry *e)
{
    return atomic_load_explicit(e->is_scope ? &e->scope.dead : &e->resource.dead, memory_order_acquire);
}

static uint64_t entry_hash(const struct entry *e)
{
    return e->is_scope ? e->scope.hash : e->resource.hash;
}

static bool matches(const struct entry *e, const struct key *key)
{
    if (entry_hash(e) != key->hash || e->is_scope != (key->resource != NULL))
        return false;
    if (e->is_scope)
        return e->scope.resource == key->resource && sm_str_eq(e->scope.bytes, key->bytes) &&
               sm_str_eq(e->scope.schema_url, key->schema_url);
    return sm_str_eq(e->resource.bytes, key->bytes) && sm_str_eq(e->resource.schema_url, key->schema_url);
}

struct sm_scopes *sm_scopes_new(struct sm_names *names, uint32_t count_max, size_t bytes_max)
{
    struct sm_scopes *s = sm_xcalloc(1, sizeof *s);
    s->names = names;
    s->count_max = SM_MIN(count_max, SM_SCOPES_MAX);
    s->bytes_max = bytes_max;
    s->bucket_count = 4096;
    s->buckets = sm_xcalloc(s->bucket_count, sizeof(struct entry *));
    pthread_mutex_init(&s->mutex, NULL);
    return s;
}

static void free_chain(struct entry *e)
{
    while (e) {
        struct entry *next = e->next;
        free(e);
        e = next;
    }
}

void sm_scopes_free(struct sm_scopes *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->bucket_count; i++)
        free_chain(s->buckets[i]);
    free_chain(s->dying);
    for (unsigned i = 0; i < BLOCKS_MAX; i++)
        free(s->blocks[i]);
    free(s->buckets);
    free(s->scope_ids_free);
    free(s->resource_ids_free);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

const struct sm_scope *sm_scopes_get(const struct sm_scopes *s, uint32_t id)
{
    return s->blocks[id / BLOCK_SCOPES][id % BLOCK_SCOPES];
}

void sm_scopes_stats(struct sm_scopes *s, uint32_t *count, size_t *bytes)
{
    pthread_mutex_lock(&s->mutex);
    *count = s->count;
    *bytes = s->bytes;
    pthread_mutex_unlock(&s->mutex);
}

static uint32_t take_id(uint32_t *stack, uint32_t *stack_count, uint32_t *next)
{
    return *stack_count ? stack[--*stack_count] : (*next)++;
}

static void give_id(uint32_t **stack, uint32_t *stack_count, uint32_t id)
{
    if ((*stack_count & (*stack_count - 1)) == 0) /* grow at powers of two */
        *stack = sm_xrealloc(*stack, SM_MAX(*stack_count * 2, 16u) * sizeof **stack);
    (*stack)[(*stack_count)++] = id;
}

static uint32_t service_of(struct sm_names *names, struct sm_str resource)
{
    struct sm_value value;
    if (sm_attr_find(resource.ptr, resource.len, 1, SM_STR("service.name"), &value) && value.type == SM_VALUE_STRING)
        return sm_names_intern(names, value.bytes);
    return SM_NAME_EMPTY;
}

static void register_scope(struct sm_scopes *s, struct entry *e)
{
    uint32_t id = take_id(s->scope_ids_free, &s->scope_ids_free_count, &s->scope_id_next);
    e->scope.id = id;
    if (!s->blocks[id / BLOCK_SCOPES])
        s->blocks[id / BLOCK_SCOPES] = sm_xcalloc(BLOCK_SCOPES, sizeof(struct sm_scope *));
    s->blocks[id / BLOCK_SCOPES][id % BLOCK_SCOPES] = &e->scope;
    SM_CONTAINER_OF(e->scope.resource, struct entry, resource)->scopes_live++;
}

static struct entry *entry_new(struct sm_scopes *s, const struct key *key, uint32_t epoch)
{
    size_t text = key->bytes.len + key->schema_url.len;
    struct entry *e = malloc(sizeof *e + text);
    if (!e)
        return NULL;
    memset(e, 0, sizeof *e);
    if (key->bytes.len)
        memcpy(e->text, key->bytes.ptr, key->bytes.len);
    if (key->schema_url.len)
        memcpy(e->text + key->bytes.len, key->schema_url.ptr, key->schema_url.len);
    struct sm_str bytes = sm_str(e->text, key->bytes.len);
    struct sm_str schema_url = sm_str(e->text + key->bytes.len, key->schema_url.len);
    e->bytes = sizeof *e + text;
    e->is_scope = key->resource != NULL;
    if (e->is_scope) {
        e->scope.resource = key->resource;
        e->scope.bytes = bytes;
        e->scope.schema_url = schema_url;
        e->scope.hash = key->hash;
        atomic_init(&e->scope.epoch_last, epoch);
        register_scope(s, e);
    } else {
        e->resource.bytes = bytes;
        e->resource.schema_url = schema_url;
        e->resource.hash = key->hash;
        atomic_init(&e->resource.epoch_last, epoch);
        e->resource.id = take_id(s->resource_ids_free, &s->resource_ids_free_count, &s->resource_id_next);
        e->resource.service_id = service_of(s->names, bytes);
    }
    return e;
}

static void rehash(struct sm_scopes *s)
{
    uint32_t count = s->bucket_count * 2;
    struct entry **buckets = sm_xcalloc(count, sizeof *buckets);
    for (uint32_t i = 0; i < s->bucket_count; i++) {
        for (struct entry *e = s->buckets[i], *next; e; e = next) {
            next = e->next;
            struct entry **head = &buckets[entry_hash(e) & (count - 1)];
            e->next = *head;
            *head = e;
        }
    }
    free(s->buckets);
    s->buckets = buckets;
    s->bucket_count = count;
}

static struct entry *table_intern(struct sm_scopes *s, const struct key *key, uint32_t epoch)
{
    pthread_mutex_lock(&s->mutex);
    struct entry *e = s->buckets[key->hash & (s->bucket_count - 1)];
    while (e && !matches(e, key))
        e = e->next;
    if (!e && s->count < s->count_max && s->bytes < s->bytes_max) {
        e = entry_new(s, key, epoch);
        if (e) {
            struct entry **head = &s->buckets[key->hash & (s->bucket_count - 1)];
            e->next = *head;
            *head = e;
            s->bytes += e->bytes;
            if (++s->count > s->bucket_count)
                rehash(s);
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return e;
}

struct sm_scopes_cache *sm_scopes_cache_new(struct sm_scopes *s, struct sm_names_cache *names)
{
    struct sm_scopes_cache *cache = sm_xcalloc(1, sizeof *cache);
    cache->scopes = s;
    cache->names = names;
    cache->mask = 1023;
    cache->slots = sm_xcalloc(cache->mask + 1, sizeof *cache->slots);
    pthread_mutex_lock(&s->mutex);
    atomic_init(&cache->round_seen, atomic_load(&s->round));
    cache->next = s->caches;
    s->caches = cache;
    pthread_mutex_unlock(&s->mutex);
    return cache;
}

void sm_scopes_cache_free(struct sm_scopes_cache *cache)
{
    if (!cache)
        return;
    pthread_mutex_lock(&cache->scopes->mutex);
    struct sm_scopes_cache **at = &cache->scopes->caches;
    while (*at != cache)
        at = &(*at)->next;
    *at = cache->next;
    pthread_mutex_unlock(&cache->scopes->mutex);
    free(cache->slots);
    free(cache);
}

static void cache_rebuild(struct sm_scopes_cache *cache, uint32_t mask)
{
    struct cache_slot *old = cache->slots;
    uint32_t old_mask = cache->mask;
    cache->slots = sm_xcalloc(mask + 1, sizeof *cache->slots);
    cache->mask = mask;
    cache->used = 0;
    for (uint32_t i = 0; i <= old_mask; i++) {
        if (!old[i].entry || is_dead(old[i].entry))
            continue;
        uint32_t k = (uint32_t)old[i].hash & mask;
        while (cache->slots[k].entry)
            k = (k + 1) & mask;
        cache->slots[k] = old[i];
        cache->used++;
    }
    free(old);
}

/* The slot with this content, or the free one where it would be. */
static struct cache_slot *cache_find(struct sm_scopes_cache *cache, const struct key *key)
{
    uint32_t i = (uint32_t)key->hash & cache->mask;
    for (;; i = (i + 1) & cache->mask) {
        struct cache_slot *slot = &cache->slots[i];
        if (!slot->entry || (slot->hash == key->hash && matches(slot->entry, key)))
            return slot;
    }
}

static struct entry *cache_intern(struct sm_scopes_cache *cache, const struct key *key, uint32_t epoch)
{
    struct cache_slot *slot = cache_find(cache, key);
    if (SM_LIKELY(slot->entry && !is_dead(slot->entry)))
        return slot->entry; /* a dead one is replaced by a fresh entry with the same content */
    struct entry *e = table_intern(cache->scopes, key, epoch);
    if (!e)
        return NULL;
    bool added = slot->entry == NULL;
    *slot = (struct cache_slot){key->hash, e};
    if (added && ++cache->used * 2 > cache->mask)
        cache_rebuild(cache, cache->mask * 2 + 1);
    return e;
}

static void touch(_Atomic uint32_t *epoch_last, uint32_t epoch)
{
    if (atomic_load_explicit(epoch_last, memory_order_relaxed) < epoch)
        atomic_store_explicit(epoch_last, epoch, memory_order_release);
}

const struct sm_resource *sm_scopes_cache_resource(struct sm_scopes_cache *cache, struct sm_str bytes,
                                                   struct sm_str schema_url, uint32_t epoch)
{
    struct key key = make_key(NULL, bytes, schema_url);
    struct entry *e = cache_intern(cache, &key, epoch);
    if (!e)
        return NULL;
    touch(&e->resource.epoch_last, epoch);
    return &e->resource;
}

const struct sm_scope *sm_scopes_cache_scope(struct sm_scopes_cache *cache, const struct sm_resource *resource,
                                             struct sm_str bytes, struct sm_str schema_url, uint32_t epoch)
{
    struct key key = make_key(resource, bytes, schema_url);
    struct entry *e = cache_intern(cache, &key, epoch);
    if (!e)
        return NULL;
    touch(&e->scope.epoch_last, epoch);
    return &e->scope;
}

const struct sm_resource *sm_scopes_cache_find_resource(struct sm_scopes_cache *cache, struct sm_str bytes,
                                                        struct sm_str schema_url, uint32_t epoch)
{
    struct key key = make_key(NULL, bytes, schema_url);
    struct entry *e = cache_find(cache, &key)->entry;
    if (!e || is_dead(e))
        return NULL;
    touch(&e->resource.epoch_last, epoch);
    return &e->resource;
}

const struct sm_scope *sm_scopes_cache_find_scope(struct sm_scopes_cache *cache, const struct sm_resource *resource,
                                                  struct sm_str bytes, struct sm_str schema_url, uint32_t epoch)
{
    struct key key = make_key(resource, bytes, schema_url);
    struct entry *e = cache_find(cache, &key)->entry;
    if (!e || is_dead(e))
        return NULL;
    touch(&e->scope.epoch_last, epoch);
    return &e->scope;
}

static _Atomic uint32_t *epoch_of(struct entry *e)
{
    return e->is_scope ? &e->scope.epoch_last : &e->resource.epoch_last;
}

static void set_dead(struct entry *e, uint32_t dead)
{
    atomic_store_explicit(e->is_scope ? &e->scope.dead : &e->resource.dead, dead, memory_order_release);
}

/* Takes entries unused since before `oldest` out of the buckets. A resource goes only after its scopes. */
static void mark_dead(struct sm_scopes *s, uint32_t oldest)
{
    for (uint32_t i = 0; i < s->bucket_count; i++) {
        for (struct entry **at = &s->buckets[i]; *at;) {
            struct entry *e = *at;
            bool unused = atomic_load_explicit(epoch_of(e), memory_order_acquire) < oldest;
            if (!unused || (!e->is_scope && e->scopes_live)) {
                at = &e->next;
                continue;
            }
            set_dead(e, 1);
            *at = e->next;
            e->next = s->dying;
            s->dying = e;
        }
    }
}

static bool all_caches_passed(const struct sm_scopes *s, uint32_t round)
{
    for (const struct sm_scopes_cache *c = s->caches; c; c = c->next) {
        if (atomic_load_explicit(&c->round_seen, memory_order_acquire) != round)
            return false;
    }
    return true;
}

static void bury(struct sm_scopes *s, struct entry *e)
{
    if (e->is_scope) {
        SM_CONTAINER_OF(e->scope.resource, struct entry, resource)->scopes_live--;
        s->blocks[e->scope.id / BLOCK_SCOPES][e->scope.id % BLOCK_SCOPES] = NULL;
        give_id(&s->scope_ids_free, &s->scope_ids_free_count, e->scope.id);
    } else {
        give_id(&s->resource_ids_free, &s->resource_ids_free_count, e->resource.id);
    }
    s->count--;
    s->bytes -= e->bytes;
    free(e);
}

static void revive(struct sm_scopes *s, struct entry *e)
{
    set_dead(e, 0);
    struct entry **head = &s->buckets[entry_hash(e) & (s->bucket_count - 1)];
    e->next = *head;
    *head = e;
}

void sm_scopes_reclaim(struct sm_scopes *s, uint32_t oldest)
{
    pthread_mutex_lock(&s->mutex);
    uint32_t round = atomic_load_explicit(&s->round, memory_order_relaxed);
    if (s->dying && all_caches_passed(s, round)) {
        struct entry *dying = s->dying;
        s->dying = NULL;
        while (dying) {
            struct entry *e = dying;
            dying = e->next;
            bool unused = atomic_load_explicit(epoch_of(e), memory_order_acquire) < oldest;
            if (unused && (e->is_scope || e->scopes_live == 0))
                bury(s, e);
            else
                revive(s, e);
        }
    }
    if (!s->dying) {
        mark_dead(s, oldest);
        if (s->dying)
            atomic_store_explicit(&s->round, round + 1, memory_order_release);
    }
    pthread_mutex_unlock(&s->mutex);
}

void sm_scopes_cache_quiescent(struct sm_scopes_cache *cache)
{
    uint32_t round = atomic_load_explicit(&cache->scopes->round, memory_order_acquire);
    if (SM_LIKELY(round == atomic_load_explicit(&cache->round_seen, memory_order_relaxed)))
        return;
    cache_rebuild(cache, cache->mask);
    atomic_store_explicit(&cache->round_seen, round, memory_order_release);
}
