/* The table of receivers. */
#include "app/receivers.h"

const struct sm_receivers_line sm_receivers[SM_RECEIVERS_COUNT] = {
#define SM_RECEIVER(key, receiver, TYPE, fallback, title, scheme, path, help)                                          \
    {#key, title, scheme, path, &sm_receiver_##receiver, offsetof(struct sm_config, listen.key)},
#include "app/receivers.def"
#undef SM_RECEIVER
};

const char *sm_receivers_address(const struct sm_config *c, const struct sm_receivers_line *line)
{
    return *(char *const *)((const char *)c + line->address);
}

const struct sm_receiver_ops *sm_receivers_at(size_t address)
{
    for (size_t i = 0; i < SM_RECEIVERS_COUNT; i++) {
        if (sm_receivers[i].address == address)
            return sm_receivers[i].ops;
    }
    return NULL;
}

bool sm_receivers_meet(const char *address, const char *other)
{
    return address && other && strcmp(address, other) == 0 && strcmp(strrchr(address, ':'), ":0") != 0;
}
