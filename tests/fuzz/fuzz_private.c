/* The private field's content: what was read and written again reads the same. */
#include "span/private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_endpoint(const struct sm_private_endpoint *a, const struct sm_private_endpoint *b)
{
    return sm_str_eq(a->service, b->service) && a->port == b->port && !a->ipv4 == !b->ipv4 && !a->ipv6 == !b->ipv6 &&
           (!a->ipv4 || memcmp(a->ipv4, b->ipv4, 4) == 0) && (!a->ipv6 || memcmp(a->ipv6, b->ipv6, 16) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size + !size);
    struct sm_private a, b;
    if (size)
        memcpy(exact, data, size);
    if (sm_private_decode(exact, size, &a)) {
        a.local.service = SM_STR(""); /* is not written */
        uint8_t *field = malloc(sm_private_size_max(&a));
        size_t n = (size_t)(sm_private_put(field, &a) - field);
        SM_ASSERT(n <= sm_private_size_max(&a) && sm_private_find(field, n, &b));
        SM_ASSERT(a.origin == b.origin && a.flags == b.flags && a.duration_ns == b.duration_ns);
        SM_ASSERT(a.jaeger_flags == b.jaeger_flags && a.parent_reference == b.parent_reference);
        SM_ASSERT(same_endpoint(&a.local, &b.local) && same_endpoint(&a.remote, &b.remote));
        (void)sm_private_span_flags(&a);
        free(field);
    }
    free(exact);
    return 0;
}
