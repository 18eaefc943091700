#include "span/lead.h"

#include <criterion/criterion.h>

enum { IDS = 28, PARENT = 38, NAME = 42, KIND = 44, ALL = 62 }; /* where the parts of `whole` end */

static const struct sm_trace_id id = {UINT64_C(0x0102030405060708), UINT64_C(0x1112131415161718)};
static struct sm_names *names;

/* Ids, name, kind and times as SDKs write them, and an attribute's beginning. */
static const uint8_t whole[] = {0x0a, 16,   1,    2,    3,    4,    5,    6,    7,    8,    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
                                0x18, 0x12, 8,    0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0x22, 8,    0xb1, 0xb2, 0xb3, 0xb4,
                                0xb5, 0xb6, 0xb7, 0xb8, 0x2a, 2,    'h',  'i',  0x30, 2,    0x39, 1,    2,    3,    4,    5,    6,
                                7,    8,    0x41, 0x11, 2,    3,    4,    5,    6,    7,    8,    0x4a, 0};

static void init(void)
{
    names = sm_names_new(100, 10000);
}

static void fini(void)
{
    sm_names_free(names);
}

TestSuite(lead, .init = init, .fini = fini);

static struct sm_span span(void)
{
    return (struct sm_span){.span_id = UINT64_C(0xa1a2a3a4a5a6a7a8),
                            .parent_id = UINT64_C(0xb1b2b3b4b5b6b7b8),
                            .start_ns = UINT64_C(0x0807060504030201),
                            .duration_ns = 16,
                            .name_id = sm_names_intern(names, SM_STR("hi")),
                            .kind_status = SM_KIND_SERVER,
                            .size = sizeof whole};
}

/* Marks the lead, keeps what a trace keeps, and compares what is restored. */
static void mark(struct sm_span *s, const uint8_t *bytes, struct sm_str name)
{
    uint8_t kept[sizeof whole + 1], back[sizeof whole + 1];
    sm_lead_mark(s, id, name, bytes);
    cr_assert_leq(s->lead, s->size);
    memset(kept, 0xee, sizeof kept);
    memset(back, 0x77, sizeof back);
    memcpy(kept + s->lead, bytes + s->lead, s->size - s->lead);
    cr_assert_eq(sm_lead_restore(back, id, s, kept, names), back + s->size);
    cr_assert_arr_eq(back, bytes, s->size);
    cr_assert_eq(back[s->size], 0x77, "not a byte more");
}

static struct sm_str name_in(const uint8_t *bytes)
{
    return sm_str((const char *)bytes + PARENT + 2, 2);
}

Test(lead, what_head_and_trace_say_is_left_out_and_comes_back)
{
    struct sm_span s = span();
    mark(&s, whole, name_in(whole));
    cr_assert_eq(s.lead, ALL);
    cr_assert_eq(s.lead_parts, SM_LEAD_PARENT | SM_LEAD_NAME | SM_LEAD_TIMES);
    cr_assert(sm_str_eq(sm_lead_rest(&s, whole), sm_str((const char *)whole + ALL, sizeof whole - ALL)));
}

Test(lead, a_field_that_is_not_the_heads_ends_it)
{
    struct sm_span s = span();
    s.parent_id = 0; /* a later field took it back */
    mark(&s, whole, name_in(whole));
    cr_assert_eq(s.lead, IDS);
    s = span();
    mark(&s, whole, SM_STR("hi")); /* the name is another field's */
    cr_assert_eq(s.lead, PARENT);
    s = span();
    s.name_id = SM_NAME_OVERFLOW;
    mark(&s, whole, name_in(whole));
    cr_assert_eq(s.lead, PARENT);
    s = span();
    s.kind_status = SM_KIND_UNSPECIFIED;
    mark(&s, whole, name_in(whole));
    cr_assert_eq(s.lead, NAME);
    s = span();
    s.duration_ns = 0; /* an end before the start */
    mark(&s, whole, name_in(whole));
    cr_assert_eq(s.lead, NAME);
}

Test(lead, any_other_byte_in_front_is_kept)
{
    uint8_t bytes[sizeof whole];
    for (unsigned at = 0; at < ALL; at++) {
        if (at == PARENT + 2 || at == PARENT + 3)
            continue; /* of the name: the head would have another id */
        struct sm_span s = span();
        memcpy(bytes, whole, sizeof whole);
        bytes[at] ^= 0x40;
        mark(&s, bytes, name_in(bytes));
        cr_assert_leq(s.lead, at, "byte %u", at);
    }
}

Test(lead, is_never_longer_than_the_span)
{
    for (uint32_t size = 1; size <= sizeof whole; size++) {
        struct sm_span s = span();
        s.size = size & SM_SPAN_SIZE_MAX;
        mark(&s, whole, name_in(whole));
        cr_assert_eq(s.lead, size < IDS ? 0 : size < PARENT ? IDS : size < NAME ? PARENT : size < ALL ? NAME : ALL, "%u bytes", size);
    }
}

Test(lead, ids_of_64_bits_have_none)
{
    struct sm_span s = span();
    sm_lead_mark(&s, (struct sm_trace_id){0, id.lo}, name_in(whole), whole);
    cr_assert_eq(s.lead, 0);
}

Test(lead, equal_only_when_every_part_is)
{
    struct sm_span a = span(), b;
    mark(&a, whole, name_in(whole));
    b = a;
    cr_assert(sm_lead_eq(&a, &b));
    b.parent_id++;
    cr_assert_not(sm_lead_eq(&a, &b));
    b = a;
    b.name_id++;
    cr_assert_not(sm_lead_eq(&a, &b));
    b = a;
    b.duration_ns++;
    cr_assert_not(sm_lead_eq(&a, &b));
    b = a;
    b.kind_status = SM_KIND_CLIENT;
    cr_assert_not(sm_lead_eq(&a, &b));
    a.lead = b.lead = IDS;
    a.lead_parts = b.lead_parts = 0;
    cr_assert(sm_lead_eq(&a, &b), "the kind is in the rest now");
}
