/* The candidates become a heap in place: only those that are spent on are ever sorted. */
#include "pipeline/sample/limiter.h"

#define NANO  UINT64_C(1000000000)
#define MICRO UINT64_C(1000000)

static double clamp(double v, double low, double high)
{
    if (!(v > low))
        return low;
    return v < high ? v : high;
}

void sm_limiter_init(struct sm_limiter *l, double spans_per_second, double burst_spans, int64_t now_ns)
{
    *l = (struct sm_limiter){.refilled_ns = now_ns};
    l->rate_micro = (uint64_t)(clamp(spans_per_second, 0, SM_LIMITER_RATE_MAX) * (double)MICRO + 0.5);
    l->burst_nano = (uint64_t)(clamp(burst_spans, 1, SM_LIMITER_RATE_MAX) * (double)NANO + 0.5);
    l->tokens_nano = l->burst_nano;
}

void sm_limiter_inherit(struct sm_limiter *l, const struct sm_limiter *before)
{
    l->tokens_nano = SM_MIN(before->tokens_nano, l->burst_nano);
    l->carry = before->carry;
    l->refilled_ns = before->refilled_ns;
}

static void refill(struct sm_limiter *l, int64_t now_ns)
{
    if (now_ns <= l->refilled_ns)
        return;
    uint64_t elapsed_ns = (uint64_t)now_ns - (uint64_t)l->refilled_ns;
    unsigned __int128 earned = (unsigned __int128)l->rate_micro * elapsed_ns + l->carry;
    l->refilled_ns = now_ns;
    l->carry = (uint64_t)(earned % MICRO);
    earned /= MICRO;
    uint64_t room = l->burst_nano - l->tokens_nano;
    l->tokens_nano += earned < room ? (uint64_t)earned : room;
}

static bool before(const struct sm_limiter_candidate *a, const struct sm_limiter_candidate *b)
{
    return a->randomness != b->randomness ? a->randomness > b->randomness : sm_trace_id_cmp(a->trace, b->trace) < 0;
}

static void swap(struct sm_limiter_candidate *a, struct sm_limiter_candidate *b)
{
    struct sm_limiter_candidate t = *a;
    *a = *b;
    *b = t;
}

static void sift_down(struct sm_limiter_candidate *heap, size_t n, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &heap[i]))
            return;
        swap(&heap[i], &heap[child]);
    }
}

/* Moves those that can never pay to the end; returns how many are left. */
static size_t payable_first(const struct sm_limiter *l, struct sm_limiter_candidate *c, size_t n)
{
    for (size_t i = 0; i < n;)
        if (sm_limiter_can_pay(l, c[i].cost))
            i++;
        else
            swap(&c[i], &c[--n]);
    return n;
}

uint64_t sm_limiter_cut(struct sm_limiter *l, struct sm_limiter_candidate *candidates, size_t n, int64_t now_ns)
{
    refill(l, now_ns);
    n = payable_first(l, candidates, n);
    for (size_t i = n / 2; i-- > 0;)
        sift_down(candidates, n, i);
    uint64_t tied_randomness = SM_THRESHOLD_NEVER, tied_nano = 0; /* spent on those that share the last R */
    while (n > 0) {
        const struct sm_limiter_candidate *top = &candidates[0];
        uint64_t cost_nano = (uint64_t)top->cost * NANO;
        if (top->randomness != tied_randomness) {
            tied_randomness = top->randomness;
            tied_nano = 0;
        }
        if (cost_nano > l->tokens_nano) {
            l->tokens_nano += tied_nano;
            return tied_randomness + 1;
        }
        l->tokens_nano -= cost_nano;
        tied_nano += cost_nano;
        swap(&candidates[0], &candidates[--n]);
        sift_down(candidates, n, 0);
    }
    return SM_THRESHOLD_ALWAYS;
}
