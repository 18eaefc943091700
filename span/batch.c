/* Batches: recycled arrays of decoded spans. */
#include "span/batch.h"

#include "span/wanted.h"

#include <stdlib.h>

const char *sm_reject_name(enum sm_reject reason)
{
    static const char *const names[] = {
#define SM_REJECT(name, text, help) text,
#include "span/reject.def"
#undef SM_REJECT
    };
    return (size_t)reason < SM_ARRAY_LEN(names) ? names[reason] : "unknown";
}

void sm_batch_clear(struct sm_batch *b)
{
    sm_payload_put(b->payload);
    b->payload = NULL;
    b->bytes = NULL;
    b->count = 0;
    b->heads_size = 0;
    if (b->rejected_total)
        memset(b->rejected, 0, sizeof b->rejected);
    b->rejected_total = b->repaired = 0;
    b->reject_text[0] = '\0';
}

void sm_batch_fini(struct sm_batch *b)
{
    sm_batch_clear(b);
    free(b->items);
    free(b->heads);
    *b = (struct sm_batch){0};
}

/* Doubles an array in powers of two; false when memory is exhausted. */
static bool grow(void **array, size_t bytes)
{
    void *p = realloc(*array, bytes);
    if (!p)
        return false;
    *array = p;
    return true;
}

struct sm_span *sm_batch_begin(struct sm_batch *b)
{
    const size_t head_max = sizeof(struct sm_span) + (SM_WANTED_MAX + 1) * sizeof(uint32_t);
    if (SM_UNLIKELY(b->count == b->capacity)) {
        uint32_t capacity = b->capacity ? b->capacity * 2 : 256;
        if (capacity < b->capacity || !grow((void **)&b->items, capacity * sizeof *b->items))
            return NULL;
        b->capacity = capacity;
    }
    if (SM_UNLIKELY(b->heads_capacity - b->heads_size < head_max)) {
        size_t capacity = SM_MAX(b->heads_capacity * 2, (size_t)16384);
        if (capacity > UINT32_MAX || !grow((void **)&b->heads, capacity))
            return NULL;
        b->heads_capacity = capacity;
    }
    return (struct sm_span *)(b->heads + b->heads_size);
}

void sm_batch_reject(struct sm_batch *b, enum sm_reject reason, const char *text)
{
    if (b->rejected_total == 0)
        snprintf(b->reject_text, sizeof b->reject_text, "%s", text);
    b->rejected[reason]++;
    b->rejected_total++;
}
