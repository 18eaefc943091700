#include "base/secret.h"

#include <criterion/criterion.h>

Test(secret, holds_replaces_and_wipes)
{
    struct sm_secret secret = {0};
    cr_assert_eq(sm_secret_reveal(&secret).len, 0u);
    sm_secret_set(&secret, SM_STR("Bearer abc"));
    cr_assert(sm_str_eq(sm_secret_reveal(&secret), SM_STR("Bearer abc")));
    sm_secret_set(&secret, sm_secret_reveal(&secret));
    cr_assert(sm_str_eq(sm_secret_reveal(&secret), SM_STR("Bearer abc")));
    sm_secret_fini(&secret);
    cr_assert_null(secret.hidden);
}
