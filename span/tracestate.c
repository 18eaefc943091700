/* Members are found by their commas, sub-keys of `ot` by their semicolons; both walks share one splitter. */
#include "span/tracestate.h"

#include "base/pb.h"
#include "span/attr.h"

/* Cuts the part before the next separator off *rest; false when nothing is left. */
static bool next_part(struct sm_str *rest, char separator, struct sm_str *part)
{
    if (!rest->ptr)
        return false;
    const char *end = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    if (!end) {
        *part = *rest;
        *rest = (struct sm_str){NULL, 0};
        return true;
    }
    *part = sm_str(rest->ptr, (size_t)(end - rest->ptr));
    *rest = sm_str(end + 1, rest->len - part->len - 1);
    return true;
}

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* key=value of W3C: the key of a-z 0-9 _ - * / @, the value of printable ASCII without comma and equals sign. */
static bool member_split(struct sm_str member, struct sm_str *key, struct sm_str *value)
{
    *value = member;
    if (!next_part(value, '=', key) || !value->ptr)
        return false;
    if (key->len == 0 || key->len > 256 || value->len == 0 || value->len > 256 || !is_lower_or_digit(key->ptr[0]))
        return false;
    for (size_t i = 0; i < key->len; i++)
        if (!is_lower_or_digit(key->ptr[i]) && (key->ptr[i] == '\0' || !strchr("_-*/@", key->ptr[i])))
            return false;
    for (size_t i = 0; i < value->len; i++)
        if (value->ptr[i] < 0x20 || value->ptr[i] > 0x7e || value->ptr[i] == '=')
            return false;
    return true;
}

/* key:value of OpenTelemetry's member. */
static bool sub_split(struct sm_str sub, struct sm_str *key, struct sm_str *value)
{
    *value = sub;
    if (!next_part(value, ':', key) || !value->ptr || key->len == 0 || !(key->ptr[0] >= 'a' && key->ptr[0] <= 'z'))
        return false;
    for (size_t i = 0; i < key->len; i++)
        if (!is_lower_or_digit(key->ptr[i]))
            return false;
    for (size_t i = 0; i < value->len; i++) {
        char c = value->ptr[i];
        if (!is_lower_or_digit(c) && !(c >= 'A' && c <= 'Z') && (c == '\0' || !strchr("._-", c)))
            return false;
    }
    return true;
}

static struct sm_str bounded(struct sm_str text)
{
    return sm_str(text.ptr, SM_MIN(text.len, (size_t)SM_TRACESTATE_SIZE_MAX));
}

/* The value of the first well-formed `ot` member; {NULL, 0} when there is none. */
static struct sm_str find_ot(struct sm_str text)
{
    struct sm_str member, key, value;
    while (next_part(&text, ',', &member))
        if (member_split(sm_str_trim(member), &key, &value) && sm_str_eq(key, SM_STR("ot")))
            return value;
    return (struct sm_str){NULL, 0};
}

static void read_threshold(struct sm_str value, struct sm_tracestate *out)
{
    if (out->threshold == SM_TRACESTATE_UNSET && sm_threshold_parse(value, &out->threshold) != SM_OK)
        out->malformed = true;
}

static void read_randomness(struct sm_str value, struct sm_tracestate *out)
{
    if (out->randomness != SM_TRACESTATE_UNSET)
        return;
    if (value.len != SM_THRESHOLD_DIGITS || sm_threshold_parse(value, &out->randomness) != SM_OK)
        out->malformed = true;
}

void sm_tracestate_parse(struct sm_str text, struct sm_tracestate *out)
{
    *out = (struct sm_tracestate){.threshold = SM_TRACESTATE_UNSET, .randomness = SM_TRACESTATE_UNSET};
    struct sm_str ot = find_ot(bounded(text)), sub, key, value;
    while (next_part(&ot, ';', &sub)) {
        if (!sub_split(sub, &key, &value))
            continue;
        if (sm_str_eq(key, SM_STR("th")))
            read_threshold(value, out);
        else if (sm_str_eq(key, SM_STR("rv")))
            read_randomness(value, out);
    }
}

struct sm_str sm_tracestate_of_span(const uint8_t *bytes, size_t size)
{
    return sm_pb_last_bytes(sm_str(bytes, size), SM_OTLP_TRACE_STATE);
}

struct writer {
    char *out;
    size_t length;
};

static void put(struct writer *w, struct sm_str s)
{
    memcpy(w->out + w->length, s.ptr, s.len);
    w->length += s.len;
}

static void put_sub(struct writer *w, struct sm_str key, struct sm_str value)
{
    put(w, w->length ? SM_STR(";") : SM_STR("ot="));
    put(w, key);
    put(w, SM_STR(":"));
    put(w, value);
}

static void put_sampling(struct writer *w, uint64_t threshold, uint64_t randomness)
{
    char text[SM_THRESHOLD_TEXT_SIZE];
    if (threshold < SM_THRESHOLD_NEVER)
        put_sub(w, SM_STR("th"), sm_str(text, sm_threshold_text(threshold, text)));
    if (randomness <= SM_RANDOMNESS_MASK) {
        snprintf(text, sizeof text, "%014llx", (unsigned long long)randomness);
        put_sub(w, SM_STR("rv"), sm_str(text, SM_THRESHOLD_DIGITS));
    }
}

static void put_other_subs(struct writer *w, struct sm_str ot)
{
    struct sm_str sub, key, value;
    while (next_part(&ot, ';', &sub)) {
        if (!sub_split(sub, &key, &value) || sm_str_eq(key, SM_STR("th")) || sm_str_eq(key, SM_STR("rv")))
            continue;
        if (w->length + 1 + sub.len <= SM_TRACESTATE_OT_SIZE_MAX + strlen("ot="))
            put_sub(w, key, value);
    }
}

size_t sm_tracestate_write(struct sm_str incoming, uint64_t threshold, uint64_t randomness, char *out)
{
    struct writer w = {.out = out};
    struct sm_str rest = bounded(incoming), member, key, value;
    put_sampling(&w, threshold, randomness);
    put_other_subs(&w, find_ot(rest));
    unsigned members = w.length > 0;
    while (members < SM_TRACESTATE_MEMBERS_MAX && next_part(&rest, ',', &member)) {
        member = sm_str_trim(member);
        if (!member_split(member, &key, &value) || sm_str_eq(key, SM_STR("ot")))
            continue;
        if (members++)
            put(&w, SM_STR(","));
        put(&w, member);
    }
    return w.length;
}
