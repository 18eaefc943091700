#include "base/net/grpc.h"

#include <criterion/criterion.h>

Test(grpc, percent_encoding)
{
    char out[64];
    size_t n = sm_grpc_percent_encode(SM_STR("a%b \xc3\xa4\n~"), out);
    cr_assert(sm_str_eq(sm_str(out, n), SM_STR("a%25b %C3%A4%0A~")));
    cr_assert_eq(sm_grpc_percent_encode(SM_STR(""), out), 0);
}

Test(grpc, base64)
{
    static const struct {
        struct sm_str in, out;
    } cases[] = {
        {SM_STR(""), SM_STR("")},
        {SM_STR("f"), SM_STR("Zg")},
        {SM_STR("fo"), SM_STR("Zm8")},
        {SM_STR("foo"), SM_STR("Zm9v")},
        {SM_STR("foob"), SM_STR("Zm9vYg")},
        {SM_STR("fooba"), SM_STR("Zm9vYmE")},
        {SM_STR("\xff\xfe\xfd"), SM_STR("//79")},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char out[16];
        size_t n = sm_grpc_base64_encode(cases[i].in, out);
        cr_assert_leq(n, (cases[i].in.len * 4 + 2) / 3);
        cr_assert(sm_str_eq(sm_str(out, n), cases[i].out), "case %zu", i);
    }
}

static int64_t timeout_of(struct sm_str value)
{
    struct sm_http_exchange x = {0};
    x.known[SM_HTTP_GRPC_TIMEOUT] = value;
    return sm_grpc_timeout_ns(&x);
}

Test(grpc, timeouts)
{
    cr_assert_eq(timeout_of(SM_STR("1H")), 3600 * SM_SEC);
    cr_assert_eq(timeout_of(SM_STR("2M")), 120 * SM_SEC);
    cr_assert_eq(timeout_of(SM_STR("3S")), 3 * SM_SEC);
    cr_assert_eq(timeout_of(SM_STR("4m")), 4 * SM_MS);
    cr_assert_eq(timeout_of(SM_STR("5u")), 5 * SM_US);
    cr_assert_eq(timeout_of(SM_STR("99999999n")), 99999999);
    cr_assert_eq(timeout_of(SM_STR("99999999H")), INT64_MAX);
    const struct sm_str bad[] = {{0},          SM_STR(""),    SM_STR("S"),         SM_STR("1"),
                                 SM_STR("1s"), SM_STR("x1S"), SM_STR("123456789S")};
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++)
        cr_assert_eq(timeout_of(bad[i]), INT64_MAX);
}
