#include "base/header.h"

#include <criterion/criterion.h>

Test(header, items_are_cut_without_blanks)
{
    struct sm_str rest = SM_STR(" a ;q=1,\tb ,,c");
    static const char *const items[] = {"a ;q=1", "b", "", "c"};
    for (unsigned i = 0; i < SM_ARRAY_LEN(items); i++)
        cr_expect(sm_str_eq(sm_header_cut(&rest, ','), sm_str_c(items[i])), "%s", items[i]);
    cr_expect_eq(rest.len, 0);
    cr_expect_eq(sm_header_cut(&rest, ',').len, 0);
}

Test(header, accept_encoding)
{
    static const struct {
        const char *header;
        bool accepted;
    } cases[] = {
        {"gzip", true},        {"GZIP", true},           {"deflate, gzip;q=1.0, *;q=0.5", true}, {"br , gzip", true},
        {"x-gzip", true},      {"*", true},              {"", false},                            {"identity", false},
        {"gzip;q=0", false},   {"gzip; q=0.000", false}, {"*;q=0", false},                       {"gzip;q=0.001", true},
        {"*, gzip;q=0", false}, {"gzipped", false},      {",,;;,", false},
    };
    for (unsigned i = 0; i < SM_ARRAY_LEN(cases); i++)
        cr_expect_eq(sm_header_accepts_gzip(sm_str_c(cases[i].header)), cases[i].accepted, "%s", cases[i].header);
}
