#include "base/nearest.h"

#include <criterion/criterion.h>

static const char *const names[] = {"status", "statusMessage", "kind", "name", "duration", "rules"};

static const char *nearest(const char *word)
{
    const char *found = sm_nearest(sm_str_c(word), names, SM_ARRAY_LEN(names));
    return found ? found : "-";
}

Test(nearest, finds_what_was_meant)
{
    cr_assert_str_eq(nearest("statsu"), "status");
    cr_assert_str_eq(nearest("Status"), "status");
    cr_assert_str_eq(nearest("statusmessage"), "statusMessage");
    cr_assert_str_eq(nearest("kid"), "kind");
    cr_assert_str_eq(nearest("durations"), "duration");
    cr_assert_str_eq(nearest("rules"), "rules");
}

Test(nearest, says_nothing_when_nothing_is_near)
{
    cr_assert_str_eq(nearest("traceid"), "-");
    cr_assert_str_eq(nearest(""), "-");
    char longer[200];
    memset(longer, 'a', sizeof longer);
    cr_assert_null(sm_nearest(sm_str(longer, sizeof longer), names, SM_ARRAY_LEN(names)));
}
