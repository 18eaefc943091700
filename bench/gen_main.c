/* bench_gen: writes generated traffic to files, or describes it. */
#include "bench/encode.h"
#include "bench/pack.h"
#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <sys/stat.h>

static const char usage[] =
    "usage: bench_gen [options]\n"
    "  --describe                 print what the traffic is like (the default)\n"
    "  --out FILE                 write a recording: --format otlp-proto (messages with a 4-byte big-endian length "
    "before\n"
    "                             each) or otlp-json (a line each)\n"
    "  --out-dir DIR              write each request body to a file of its own: in the format\n"
    "  --gzip                     with --out-dir: compressed bodies\n"
    "  --format NAME              otlp-proto (default), otlp-json, zipkin-json, zipkin-proto, zipkin-thrift\n"
    "  --spans N                  about so many spans in a round (400k)\n"
    "  --rounds N                 repeat the round with fresh ids, later times (1)\n"
    "  --spans-per-request N      (200)\n"
    "  --spans-per-second N       rate of virtual time (100k)\n"
    "  --seed N                   (1)\n";

struct options {
    struct bench_gen_options gen;
    enum bench_encoding encoding;
    const char *out;
    const char *out_dir;
    uint64_t rounds;
    bool gzip;
};

static enum bench_encoding encoding_of(const char *name)
{
    static const char *const names[] = {"otlp-proto", "otlp-json", "zipkin-json", "zipkin-proto", "zipkin-thrift"};
    for (uint32_t i = 0; i < SM_ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum bench_encoding)i;
    }
    bench_options_fail("--format: unknown: %s", name);
}

static const char *const extensions[] = {"pb", "json", "json"};

static struct options parse(int argc, char **argv)
{
    static const struct option long_options[] = {{"describe", no_argument, NULL, 'd'},
                                                 {"out", required_argument, NULL, 'o'},
                                                 {"out-dir", required_argument, NULL, 'D'},
                                                 {"gzip", no_argument, NULL, 'z'},
                                                 {"format", required_argument, NULL, 'f'},
                                                 {"spans", required_argument, NULL, 'n'},
                                                 {"rounds", required_argument, NULL, 'r'},
                                                 {"spans-per-request", required_argument, NULL, 'q'},
                                                 {"spans-per-second", required_argument, NULL, 'v'},
                                                 {"seed", required_argument, NULL, 's'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {0}};
    struct options o = {.gen = BENCH_GEN_DEFAULTS, .rounds = 1};
    int c, index = 0;
    while ((c = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        const char *name = long_options[index].name;
        switch (c) {
        case 'd':
            break;
        case 'o':
            o.out = optarg;
            break;
        case 'D':
            o.out_dir = optarg;
            break;
        case 'z':
            o.gzip = true;
            break;
        case 'f':
            o.encoding = encoding_of(optarg);
            break;
        case 'n':
            o.gen.spans = (uint32_t)bench_options_count(name, optarg);
            break;
        case 'r':
            o.rounds = bench_options_count(name, optarg);
            break;
        case 'q':
            o.gen.spans_per_request = (uint32_t)SM_MAX(1, bench_options_count(name, optarg));
            break;
        case 'v':
            o.gen.spans_per_second = (uint32_t)SM_MAX(1, bench_options_count(name, optarg));
            break;
        case 's':
            o.gen.seed = bench_options_count(name, optarg);
            break;
        default:
            fputs(usage, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
    }
    if (optind < argc)
        bench_options_fail("unknown argument: %s", argv[optind]);
    return o;
}

static void must_write(FILE *f, const void *bytes, size_t n, const char *path)
{
    if (fwrite(bytes, 1, n, f) != n)
        bench_options_fail("%s: %s", path, strerror(errno));
}

static FILE *must_open(const char *path)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        bench_options_fail("%s: %s", path, strerror(errno));
    return f;
}

static void must_close(FILE *f, const char *path)
{
    if (fclose(f) != 0)
        bench_options_fail("%s: %s", path, strerror(errno));
}

static void write_record(FILE *f, const struct bench_body *body, enum bench_encoding encoding, const char *path)
{
    if (encoding == BENCH_ENCODING_OTLP_PROTO) {
        uint8_t length[4];
        sm_store_be32(length, (uint32_t)body->len);
        must_write(f, length, 4, path);
    }
    must_write(f, body->ptr, body->len, path);
    if (encoding != BENCH_ENCODING_OTLP_PROTO)
        must_write(f, "\n", 1, path);
}

static void write_body(const struct options *o, const struct bench_body *body, uint64_t number)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%06llu.%s%s", o->out_dir, (unsigned long long)number, extensions[o->encoding],
             o->gzip ? ".gz" : "");
    FILE *f = must_open(path);
    if (o->gzip) {
        struct bench_body packed = bench_pack_body(body, "gzip");
        must_write(f, packed.ptr, packed.len, path);
        bench_body_free(&packed);
    } else {
        must_write(f, body->ptr, body->len, path);
    }
    must_close(f, path);
}

static void write_all(const struct options *o, const struct bench_gen *gen, struct bench_body *bodies)
{
    FILE *f = o->out ? must_open(o->out) : NULL;
    if (o->out_dir && mkdir(o->out_dir, 0777) != 0 && errno != EEXIST)
        bench_options_fail("%s: %s", o->out_dir, strerror(errno));
    for (uint64_t r = 0; r < o->rounds; r++) {
        struct bench_round round = bench_round_make(o->gen.seed, r, (int64_t)r * gen->length_ns);
        for (uint32_t i = 0; i < gen->requests_n; i++) {
            bench_body_move(&bodies[i], &round);
            if (f)
                write_record(f, &bodies[i], o->encoding, o->out);
            if (o->out_dir)
                write_body(o, &bodies[i], r * gen->requests_n + i);
        }
    }
    if (f)
        must_close(f, o->out);
}

/* Shares and means that a reader can compare with what the header promises. */
static void describe(const struct bench_gen *gen, const struct bench_body *bodies)
{
    uint64_t bytes = 0, errors = 0, slow_roots = 0;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < gen->requests_n; i++)
        bytes += bodies[i].len;
    for (uint32_t i = 0; i < gen->spans_n; i++) {
        const struct bench_span *s = &gen->spans[i];
        errors += s->error;
        slow_roots += s->parent == 0 && s->end_ns - s->start_ns > 500 * SM_MS;
        largest = SM_MAX(largest, (uint32_t)(s->trace_hi >> 48));
    }
    printf("spans %u, traces %u, requests %u\n", gen->spans_n, gen->traces_n, gen->requests_n);
    printf("spans per trace: mean %.1f, most %u\n", (double)gen->spans_n / gen->traces_n, largest);
    printf("bytes per span %.1f, spans per request %.1f\n", (double)bytes / gen->spans_n,
           (double)gen->spans_n / gen->requests_n);
    printf("error spans %.2f %%, roots over 500 ms %.2f %%\n", 100.0 * (double)errors / gen->spans_n,
           100.0 * (double)slow_roots / gen->traces_n);
    printf("virtual time %.2f s\n", (double)gen->length_ns / 1e9);
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct bench_gen *gen = bench_gen_new(&o.gen);
    struct bench_body *bodies = bench_encode_all(gen, o.encoding);
    if (o.out || o.out_dir)
        write_all(&o, gen, bodies);
    else
        describe(gen, bodies);
    bench_encode_free(bodies, gen->requests_n);
    bench_gen_free(gen);
    return 0;
}
