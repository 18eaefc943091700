#include "span/rates.h"

#include <criterion/criterion.h>

static struct sm_rate rate(const char *service, const char *operation, double probability)
{
    return (struct sm_rate){sm_str_c(service), sm_str_c(operation), probability};
}

static void expect(const struct sm_rates *r, const char *service, const char *operations)
{
    uint32_t count;
    char found[64] = "";
    const struct sm_rate *rates = sm_rates_find(r, sm_str_c(service), &count);
    for (uint32_t i = 0; i < count; i++) {
        cr_expect(sm_str_eq(rates[i].service, sm_str_c(service)));
        snprintf(found + strlen(found), sizeof found - strlen(found), "%.*s=%g ", SM_STR_ARG(rates[i].operation), rates[i].probability);
    }
    cr_expect_str_eq(found, operations, "%s", service);
}

Test(rates, of_a_service_in_order)
{
    char owned[] = "GET /";
    struct sm_rate in[] = {rate("cart", owned, 0.5),  rate("shop", "b", 1), rate("car", "x", 0.25),
                           rate("cart", "", 0.125), rate("carts", "x", 1)};
    struct sm_rates *r = sm_rates_new(0.001, 0.5, in, SM_ARRAY_LEN(in));
    memset(owned, 'x', 5); /* texts are copied */
    cr_expect_eq(r->initial, 0.001);
    cr_expect_eq(r->lower_bound, 0.5);
    expect(r, "car", "x=0.25 ");
    expect(r, "cart", "=0.125 GET /=0.5 ");
    expect(r, "carts", "x=1 ");
    expect(r, "shop", "b=1 ");
    expect(r, "", "");
    expect(r, "ca", "");
    expect(r, "zoo", "");
    sm_rates_free(r);
}

Test(rates, none)
{
    struct sm_rates *r = sm_rates_new(1, 0, NULL, 0);
    expect(r, "", "");
    expect(r, "a", "");
    sm_rates_free(r);
    sm_rates_free(NULL);
}
