#include "base/rfc3339.h"

#include <criterion/criterion.h>

Test(rfc3339, times)
{
    static const struct {
        const char *text;
        int64_t ns; /* -1: invalid */
    } cases[] = {{"1970-01-01T00:00:00Z", 0},
                 {"2023-11-14T22:13:20Z", INT64_C(1700000000) * SM_SEC},
                 {"2023-11-14T22:13:20.123456789Z", INT64_C(1700000000123456789)},
                 {"2023-11-14T22:13:20.5Z", INT64_C(1700000000500000000)},
                 {"2023-11-14T23:13:20+01:00", INT64_C(1700000000) * SM_SEC},
                 {"2023-11-14T23:13:20 01:00", INT64_C(1700000000) * SM_SEC}, /* an un-escaped '+' */
                 {"2023-11-14T17:43:20-04:30", INT64_C(1700000000) * SM_SEC},
                 {"2024-02-29T00:00:00z", INT64_C(1709164800) * SM_SEC},
                 {"2024-03-01T00:00:00Z", INT64_C(1709251200) * SM_SEC},
                 {"2000-12-31T23:59:59Z", INT64_C(978307199) * SM_SEC},
                 {"2023-02-29T00:00:00Z", -1},
                 {"2023-13-01T00:00:00Z", -1},
                 {"2023-11-14T24:00:00Z", -1},
                 {"2023-11-14T22:13:20", -1},
                 {"2023-11-14T22:13:20.Z", -1},
                 {"2023-11-14T22:13:20Zx", -1},
                 {"1969-12-31T23:59:59Z", -1},
                 {"1970-01-01T00:00:00+01:00", -1},
                 {"9999-01-01T00:00:00Z", -1},
                 {"", -1},
                 {"now", -1}};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        int64_t ns = 0;
        enum sm_rc rc = sm_rfc3339_parse(sm_str_c(cases[i].text), &ns);
        cr_assert_eq(rc == SM_OK, cases[i].ns >= 0, "%s", cases[i].text);
        cr_assert(rc != SM_OK || ns == cases[i].ns, "%s: %ld", cases[i].text, (long)ns);
    }
}
