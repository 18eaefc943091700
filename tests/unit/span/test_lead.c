#include "span/lead.h"

#include <criterion/criterion.h>

static const struct sm_trace_id id = {UINT64_C(0x0102030405060708), UINT64_C(0x1112131415161718)};

/* Trace id, span id, parent id and a name, as SDKs write them. */
static const uint8_t whole[] = {0x0a, 16,   1,    2,    3,    4,    5,    6,    7,    8,    0x11, 0x12, 0x13, 0x14, 0x15,
                                0x16, 0x17, 0x18, 0x12, 8,    0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0x22, 8,
                                0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0x2a, 2,    'h',  'i'};

static struct sm_span span(void)
{
    return (struct sm_span){.span_id = UINT64_C(0xa1a2a3a4a5a6a7a8), .parent_id = UINT64_C(0xb1b2b3b4b5b6b7b8), .size = sizeof whole};
}

static void restores(struct sm_span s, const uint8_t *bytes)
{
    uint8_t kept[sizeof whole], back[sizeof whole];
    memset(kept, 0xee, sizeof kept); /* what a trace has of it */
    memcpy(kept + s.lead, bytes + s.lead, s.size - s.lead);
    cr_assert_eq(sm_lead_restore(back, id, &s, kept), back + s.size);
    cr_assert_arr_eq(back, bytes, s.size);
}

Test(lead, ids_at_the_front_are_left_out_and_come_back)
{
    struct sm_span s = span();
    s.lead = sm_lead_of(id, &s, whole);
    cr_assert_eq(s.lead, SM_LEAD_SIZE_MAX);
    cr_assert(sm_str_eq(sm_lead_rest(&s, whole), sm_str((const char *)whole + 38, 4)));
    restores(s, whole);
}

Test(lead, parent_id_stays_when_it_is_not_the_heads)
{
    struct sm_span s = span();
    s.parent_id = 0; /* a later field took it back */
    s.lead = sm_lead_of(id, &s, whole);
    cr_assert_eq(s.lead, SM_LEAD_IDS);
    restores(s, whole);
}

Test(lead, anything_else_at_the_front_is_kept)
{
    uint8_t bytes[sizeof whole];
    struct sm_span s = span();
    for (unsigned at = 0; at < SM_LEAD_IDS; at++) {
        memcpy(bytes, whole, sizeof whole);
        bytes[at] ^= 0x40;
        s.lead = sm_lead_of(id, &s, bytes);
        cr_assert_eq(s.lead, 0, "byte %u", at);
        restores(s, bytes);
    }
}

Test(lead, is_never_longer_than_the_span)
{
    struct sm_span s = span();
    for (uint32_t size = 1; size <= sizeof whole; size++) {
        s.size = size;
        uint32_t lead = sm_lead_of(id, &s, whole);
        cr_assert_eq(lead, size < SM_LEAD_IDS ? 0 : size < SM_LEAD_SIZE_MAX ? SM_LEAD_IDS : SM_LEAD_SIZE_MAX, "%u bytes", size);
    }
}

Test(lead, ids_of_64_bits_have_none)
{
    uint8_t bytes[sizeof whole];
    struct sm_span s = span();
    memcpy(bytes, whole, sizeof whole);
    memset(bytes + 2, 0, 8);
    cr_assert_eq(sm_lead_of((struct sm_trace_id){0, id.lo}, &s, bytes), 0);
}
