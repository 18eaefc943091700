/* tracestate: any text can be rewritten, within its bounds, and says afterwards what was asked for. */
#include "span/tracestate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define THRESHOLD_END (UINT64_C(1) << 56)

static void rewrite(struct sm_str text, uint64_t threshold, uint64_t randomness)
{
    size_t room = SM_MIN(text.len, (size_t)SM_TRACESTATE_SIZE_MAX) + SM_TRACESTATE_GROWTH;
    char *out = malloc(room), *again = malloc(room + SM_TRACESTATE_GROWTH);
    struct sm_tracestate s;
    size_t n = sm_tracestate_write(text, threshold, randomness, out);
    SM_ASSERT(n <= room);
    sm_tracestate_parse(sm_str(out, n), &s);
    SM_ASSERT(s.threshold == threshold && s.randomness == randomness && !s.malformed);
    size_t m = sm_tracestate_write(sm_str(out, n), threshold, randomness, again);
    SM_ASSERT(m == n && memcmp(out, again, n) == 0);
    free(out);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact = malloc(size + !size);
    struct sm_tracestate s;
    if (size)
        memcpy(exact, data, size);
    struct sm_str text = sm_str(exact, size);
    sm_tracestate_parse(text, &s);
    SM_ASSERT(s.threshold == SM_TRACESTATE_UNSET || s.threshold < THRESHOLD_END);
    SM_ASSERT(s.randomness == SM_TRACESTATE_UNSET || s.randomness < THRESHOLD_END);
    rewrite(text, SM_TRACESTATE_UNSET, SM_TRACESTATE_UNSET);
    rewrite(text, 0, SM_TRACESTATE_UNSET);
    rewrite(text, s.threshold, s.randomness);
    rewrite(text, THRESHOLD_END - 1, 0x123456789abcde);
    (void)sm_tracestate_of_span((const uint8_t *)exact, size);
    free(exact);
    return 0;
}
