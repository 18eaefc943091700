/* Tables of sampling rates. */
#include "span/rates.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const struct sm_rate *x = a, *y = b;
    int order = sm_str_cmp(x->service, y->service);
    return order ? order : sm_str_cmp(x->operation, y->operation);
}

static struct sm_str copy(char **at, struct sm_str text)
{
    struct sm_str out = sm_str(*at, text.len);
    if (text.len)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return out;
}

struct sm_rates *sm_rates_new(double initial, double lower_bound, struct sm_rate *rates, uint32_t count)
{
    struct sm_rates *r = sm_xcalloc(1, sizeof *r);
    size_t text_size = 0;
    for (uint32_t i = 0; i < count; i++)
        text_size += rates[i].service.len + rates[i].operation.len;
    if (count)
        qsort(rates, count, sizeof *rates, compare);
    char *at = r->texts = sm_xmalloc(text_size + 1);
    r->rates = sm_xmalloc((count + (size_t)1) * sizeof *r->rates);
    for (uint32_t i = 0; i < count; i++)
        r->rates[i] = (struct sm_rate){copy(&at, rates[i].service), copy(&at, rates[i].operation), rates[i].probability};
    r->initial = initial;
    r->lower_bound = lower_bound;
    r->count = count;
    return r;
}

void sm_rates_free(void *rates)
{
    struct sm_rates *r = rates;
    if (!r)
        return;
    free(r->rates);
    free(r->texts);
    free(r);
}

/* The first rate whose service is not less than this one; not less or equal with `behind`. */
static uint32_t bound(const struct sm_rates *r, struct sm_str service, bool behind)
{
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = sm_str_cmp(r->rates[middle].service, service);
        if (order < 0 || (behind && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct sm_rate *sm_rates_find(const struct sm_rates *rates, struct sm_str service, uint32_t *count)
{
    uint32_t first = bound(rates, service, false);
    *count = bound(rates, service, true) - first;
    return rates->rates + first;
}
