/* msgpack written from JSON by msgpack-c's packer, so that tests read well: strings that begin with "0x" become bin, numbers with
 * a fraction or an exponent float 64. */
#ifndef SM_TEST_MSGPACK_OF_H
#define SM_TEST_MSGPACK_OF_H

#include "base/json.h"

#include <msgpack.h>

static inline void msgpack_of_value(msgpack_packer *to, struct sm_json *j);

/* How many members or elements follow; reads ahead. */
static inline uint32_t msgpack_of_count(struct sm_json ahead)
{
    struct sm_json_text key;
    uint32_t n = 0;
    if (sm_json_peek(&ahead) == SM_JSON_OBJECT) {
        for (bool more = sm_json_object(&ahead, &key); more; more = sm_json_member(&ahead, &key), n++)
            sm_json_skip(&ahead);
    } else {
        for (bool more = sm_json_array(&ahead); more; more = sm_json_element(&ahead), n++)
            sm_json_skip(&ahead);
    }
    return n;
}

static inline void msgpack_of_string(msgpack_packer *to, const struct sm_json_text *text)
{
    uint8_t *bytes = sm_xmalloc(text->len + 1);
    size_t n = text->escaped ? sm_json_unescape(text, bytes) : (memcpy(bytes, text->ptr, text->len), text->len);
    if (n >= 2 && memcmp(bytes, "0x", 2) == 0) {
        size_t size = 0;
        for (size_t i = 2; i + 1 < n; i += 2) {
            char digits[3] = {(char)bytes[i], (char)bytes[i + 1], 0};
            bytes[size++] = (uint8_t)strtoul(digits, NULL, 16);
        }
        msgpack_pack_bin(to, size);
        msgpack_pack_bin_body(to, bytes, size);
    } else {
        msgpack_pack_str(to, n);
        msgpack_pack_str_body(to, bytes, n);
    }
    free(bytes);
}

static inline void msgpack_of_number(msgpack_packer *to, const struct sm_json_number *n)
{
    if (n->type == SM_JSON_INT)
        msgpack_pack_int64(to, n->i);
    else if (n->type == SM_JSON_UINT)
        msgpack_pack_uint64(to, n->u);
    else
        msgpack_pack_double(to, n->d);
}

static inline void msgpack_of_many(msgpack_packer *to, struct sm_json *j, enum sm_json_type type)
{
    struct sm_json_text key;
    if (type == SM_JSON_OBJECT) {
        msgpack_pack_map(to, msgpack_of_count(*j));
        for (bool more = sm_json_object(j, &key); more; more = sm_json_member(j, &key)) {
            msgpack_of_string(to, &key);
            msgpack_of_value(to, j);
        }
    } else {
        msgpack_pack_array(to, msgpack_of_count(*j));
        for (bool more = sm_json_array(j); more; more = sm_json_element(j))
            msgpack_of_value(to, j);
    }
}

static inline void msgpack_of_value(msgpack_packer *to, struct sm_json *j)
{
    struct sm_json_text text;
    struct sm_json_number n;
    bool b = false;
    enum sm_json_type type = sm_json_peek(j);
    switch (type) {
    case SM_JSON_OBJECT:
    case SM_JSON_ARRAY:
        msgpack_of_many(to, j, type);
        break;
    case SM_JSON_STRING:
        if (sm_json_string(j, &text))
            msgpack_of_string(to, &text);
        break;
    case SM_JSON_NUMBER:
        if (sm_json_number(j, &n))
            msgpack_of_number(to, &n);
        break;
    case SM_JSON_BOOL:
        (void)sm_json_bool(j, &b);
        b ? msgpack_pack_true(to) : msgpack_pack_false(to);
        break;
    default:
        SM_ASSERT(sm_json_null(j));
        msgpack_pack_nil(to);
        break;
    }
}

/* One document after the other. Apostrophes stand for quotes; backslashes escape as in JSON. */
static inline void msgpack_of(msgpack_sbuffer *to, const char *json)
{
    char *text = sm_xstrndup(json, strlen(json));
    for (char *c = text; *c; c++) {
        if (*c == '\'')
            *c = '"';
    }
    struct sm_json j = sm_json_reader(text, strlen(text), 1000);
    msgpack_packer packer;
    msgpack_packer_init(&packer, to, msgpack_sbuffer_write);
    for (sm_json_space(&j); j.p < j.end; sm_json_space(&j)) {
        msgpack_of_value(&packer, &j);
        SM_ASSERT(!j.error);
    }
    free(text);
}

#endif
