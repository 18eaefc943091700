/* An agent in C: two spans to spanmill's ZeroMQ ROUTER, with its answer. docs/formats/agent-protocol.md has the whole.
 *
 *     cc agent.c -lzmq -lmsgpackc -o agent        (Debian: libzmq3-dev, libmsgpack-dev)
 *     ./agent tcp://127.0.0.1:5571
 */
#include <msgpack.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <zmq.h>

static void put_text(msgpack_packer *p, const char *text)
{
    msgpack_pack_str(p, strlen(text));
    msgpack_pack_str_body(p, text, strlen(text));
}

static void put_text_member(msgpack_packer *p, const char *key, const char *text)
{
    put_text(p, key);
    put_text(p, text);
}

static void put_uint_member(msgpack_packer *p, const char *key, uint64_t n)
{
    put_text(p, key);
    msgpack_pack_uint64(p, n);
}

static void put_id(msgpack_packer *p, const char *key, const uint8_t *id, size_t size)
{
    put_text(p, key);
    msgpack_pack_bin(p, size);
    msgpack_pack_bin_body(p, id, size);
}

static void put_request_span(msgpack_packer *p, const uint8_t *trace, const uint8_t *id, uint64_t start)
{
    msgpack_pack_map(p, 7);
    put_id(p, "trace", trace, 16);
    put_id(p, "id", id, 8);
    put_text_member(p, "name", "GET /cart");
    put_uint_member(p, "kind", 2); /* server */
    put_uint_member(p, "start", start);
    put_uint_member(p, "end", start + 12000000);
    put_text(p, "attrs");
    msgpack_pack_map(p, 1);
    put_text_member(p, "http.request.method", "GET");
}

static void put_query_span(msgpack_packer *p, const uint8_t *trace, const uint8_t *id, const uint8_t *parent, uint64_t start)
{
    msgpack_pack_map(p, 9);
    put_id(p, "trace", trace, 16);
    put_id(p, "id", id, 8);
    put_id(p, "parent", parent, 8);
    put_text_member(p, "name", "SELECT");
    put_uint_member(p, "kind", 3); /* client */
    put_uint_member(p, "start", start + 2000000);
    put_uint_member(p, "end", start + 9000000);
    put_uint_member(p, "status", 2); /* error */
    put_text(p, "attrs");
    msgpack_pack_map(p, 1);
    put_text_member(p, "db.system", "postgresql");
}

static void put_batch(msgpack_packer *p, const uint8_t *trace, const uint8_t *request, const uint8_t *query, uint64_t start)
{
    msgpack_pack_map(p, 3);
    put_uint_member(p, "v", 1);
    put_text(p, "resource");
    msgpack_pack_map(p, 1);
    put_text_member(p, "service.name", "shop");
    put_text(p, "spans");
    msgpack_pack_array(p, 2);
    put_request_span(p, trace, request, start);
    put_query_span(p, trace, query, request, start);
}

/* The number that a member of the reply has; `otherwise` when it is not there. */
static uint64_t number_of(const msgpack_object *reply, const char *key, uint64_t otherwise)
{
    for (uint32_t i = 0; i < reply->via.map.size; i++) {
        const msgpack_object_kv *kv = &reply->via.map.ptr[i];
        if (kv->key.type == MSGPACK_OBJECT_STR && kv->key.via.str.size == strlen(key) &&
            memcmp(kv->key.via.str.ptr, key, strlen(key)) == 0 && kv->val.type == MSGPACK_OBJECT_POSITIVE_INTEGER)
            return kv->val.via.u64;
    }
    return otherwise;
}

/* 0: taken; 1: refused; otherwise milliseconds to wait before the same batch is sent again. */
static uint64_t deliver(void *socket, const msgpack_sbuffer *batch)
{
    char bytes[1024];
    msgpack_unpacked reply;
    uint64_t result = 1;
    if (zmq_send(socket, batch->data, batch->size, 0) < 0)
        return 1;
    int n = zmq_recv(socket, bytes, sizeof bytes, 0);
    msgpack_unpacked_init(&reply);
    if (n > 0 && (size_t)n <= sizeof bytes && msgpack_unpack_next(&reply, bytes, (size_t)n, NULL) == MSGPACK_UNPACK_SUCCESS &&
        reply.data.type == MSGPACK_OBJECT_MAP) {
        uint64_t wait = number_of(&reply.data, "retry_after_ms", 0);
        bool taken = number_of(&reply.data, "accepted", 0) > 0 && number_of(&reply.data, "rejected", 0) == 0;
        result = taken ? 0 : wait ? wait : 1;
    }
    msgpack_unpacked_destroy(&reply);
    return result;
}

int main(int argc, char **argv)
{
    uint8_t ids[32];
    struct timespec now;
    msgpack_sbuffer batch;
    msgpack_packer packer;
    int timeout_ms = 10000;
    uint64_t result;
    if (argc != 2 || getrandom(ids, sizeof ids, 0) != sizeof ids)
        return 2;
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_REQ);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    zmq_setsockopt(socket, ZMQ_LINGER, &(int){0}, sizeof(int));
    if (zmq_connect(socket, argv[1]) != 0)
        return 2;

    clock_gettime(CLOCK_REALTIME, &now);
    msgpack_sbuffer_init(&batch);
    msgpack_packer_init(&packer, &batch, msgpack_sbuffer_write);
    put_batch(&packer, ids, ids + 16, ids + 24, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    while ((result = deliver(socket, &batch)) > 1)
        zmq_poll(NULL, 0, (long)result);

    printf("trace ");
    for (int i = 0; i < 16; i++)
        printf("%02x", ids[i]);
    printf("\n");
    msgpack_sbuffer_destroy(&batch);
    zmq_close(socket);
    zmq_ctx_term(context);
    return result ? 1 : 0;
}
