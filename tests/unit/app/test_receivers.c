#include "app/receivers.h"

#include "app/config_key.h"

#include <criterion/criterion.h>

Test(receivers, every_one_has_its_key)
{
    for (size_t i = 0; i < SM_RECEIVERS_COUNT; i++) {
        const struct sm_receivers_line *line = &sm_receivers[i];
        char path[64];
        snprintf(path, sizeof path, "listen.%s", line->key);
        const struct sm_config_key *key = sm_config_key_find(sm_str_c(path));
        cr_assert_not_null(key, "%s", path);
        cr_expect_eq(key->offset, line->address);
        cr_expect_eq(sm_receivers_at(line->address), line->ops);
        cr_expect(*line->title);
        cr_expect_eq(line->ops->endpoint == NULL, *line->scheme != '\0', "%s: told by a scheme, or by itself", path);
    }
    cr_expect_null(sm_receivers_at(offsetof(struct sm_config, listen.query)));
}

Test(receivers, addresses_meet)
{
    struct sm_config *c = sm_config_new();
    cr_expect_str_eq(sm_receivers_address(c, &sm_receivers[SM_RECEIVERS_zipkin]), "127.0.0.1:9411");
    cr_expect_null(sm_receivers_address(c, &sm_receivers[SM_RECEIVERS_zeromq_pull]), "off");
    sm_config_free(c);
    cr_expect(sm_receivers_meet(":4317", ":4317"));
    cr_expect(sm_receivers_meet("unix:/a", "unix:/a"));
    cr_expect_not(sm_receivers_meet(":4317", "127.0.0.1:4317"));
    cr_expect_not(sm_receivers_meet(":0", ":0"), "the kernel gives each its own");
    cr_expect_not(sm_receivers_meet(NULL, NULL));
}
