#include "base/payload.h"

#include <criterion/criterion.h>

Test(payload, last_returned_buffer_is_reused_first)
{
    struct sm_payload_pool *pool = sm_payload_pool_new(1 << 20);
    struct sm_payload *a = sm_payload_new(pool, 5000);
    struct sm_payload *b = sm_payload_new(pool, 5000);
    cr_assert_eq(sm_payload_pool_bytes_out(pool), 16384);
    sm_payload_put(a);
    sm_payload_put(b);
    struct sm_payload *c = sm_payload_new(pool, 8192);
    cr_assert(c == a || c == b);
    sm_payload_put(c);
    sm_payload_pool_free(pool);
}

Test(payload, growing_keeps_contents)
{
    struct sm_payload_pool *pool = sm_payload_pool_new(0);
    struct sm_payload *p = sm_payload_new(pool, 1);
    memset(p->data, 7, p->capacity);
    p->size = p->capacity;
    cr_assert_eq(sm_payload_reserve(p, 100000), SM_OK);
    cr_assert_geq(p->capacity, 100000);
    cr_assert_eq(p->data[4095], 7);
    cr_assert_eq(sm_payload_reserve(p, SIZE_MAX / 2), SM_E_NOMEM);
    sm_payload_ref(p);
    sm_payload_put(p);
    cr_assert_geq(sm_payload_pool_bytes_out(pool), 100000);
    sm_payload_put(p);
    sm_payload_pool_free(pool);
}
