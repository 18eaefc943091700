/* CURVE keys in files and directories. */
#include "ingest/zeromq_keys.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The keys of RFC 26's test vectors. */
#define PUBLIC_1 "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define SECRET_1 "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"
#define PUBLIC_2 "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

static char dir[64];

static void setup(void)
{
    strcpy(dir, "/tmp/spanmill-keys-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(zeromq_keys, .init = setup, .fini = teardown);

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    return path;
}

static const uint8_t first_public[32] = {0xbb, 0x88, 0x47, 0x1d, 0x65, 0xe2, 0x65, 0x9b, 0x30, 0xc5, 0x5a, 0x53, 0x21, 0xce, 0xbb, 0x5a,
                                         0xab, 0x2b, 0x70, 0xa3, 0x98, 0x64, 0x5c, 0x26, 0xdc, 0xa2, 0xb2, 0xfc, 0xb4, 0x3f, 0xc5, 0x18};

Test(zeromq_keys, secrets)
{
    static const char *const good[] = {SECRET_1, "# mine\n\n  " SECRET_1 "  \r\n",
                                       "curve\n  public-key = \"" PUBLIC_1 "\"\n  secret-key = \"" SECRET_1 "\"\n"};
    static const char *const bad[] = {"", "short\n", "curve\n  public-key = \"" PUBLIC_1 "\"\n", SECRET_1 "x",
                                      "#############################%%%%%%%%%%%"};
    uint8_t key[SM_ZEROMQ_KEY_BYTES];
    struct sm_err err;
    for (size_t i = 0; i < SM_ARRAY_LEN(good); i++) {
        cr_assert_eq(sm_zeromq_secret_key(write_file("secret", good[i]), key, &err), SM_OK, "%zu: %s", i, err.text);
        cr_assert_eq(key[0], 0x7b);
        cr_assert_eq(key[31], 0x88);
    }
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++) {
        cr_assert_eq(sm_zeromq_secret_key(write_file("secret", bad[i]), key, &err), SM_E_INVALID, "%zu", i);
        cr_assert(!strstr(err.text, SECRET_1));
    }
    cr_assert_eq(sm_zeromq_secret_key(path_of("none"), key, &err), SM_E_IO);
    cr_assert_eq(sm_zeromq_secret_key(dir, key, &err), SM_E_IO);
}

Test(zeromq_keys, a_file_of_clients)
{
    struct sm_err err;
    struct sm_zeromq_keys *keys = sm_zeromq_keys_new(write_file("clients", PUBLIC_2 "\n# one more\n" PUBLIC_1 "\n"), &err);
    cr_assert_not_null(keys, "%s", err.text);
    cr_assert_eq(sm_zeromq_keys_count(keys), 2);
    uint8_t other[32] = {1};
    cr_assert(sm_zeromq_keys_allow(keys, first_public, 0));
    cr_assert_not(sm_zeromq_keys_allow(keys, other, 0));
    sm_zeromq_keys_free(keys);
    cr_assert_null(sm_zeromq_keys_new(write_file("empty", "nothing"), &err));
    cr_assert_null(sm_zeromq_keys_new(path_of("none"), &err));
}

Test(zeromq_keys, a_directory_is_read_again)
{
    struct sm_err err;
    write_file("one.key", "curve\n public-key = \"" PUBLIC_2 "\"\n secret-key = \"" SECRET_1 "\"\n");
    write_file(".hidden", PUBLIC_1);
    cr_assert_eq(mkdir(path_of("folder"), 0700), 0);
    struct sm_zeromq_keys *keys = sm_zeromq_keys_new(dir, &err);
    cr_assert_not_null(keys, "%s", err.text);
    cr_assert_eq(sm_zeromq_keys_count(keys), 1);
    cr_assert_not(sm_zeromq_keys_allow(keys, first_public, SM_SEC));
    write_file("two.key", PUBLIC_1);
    cr_assert_not(sm_zeromq_keys_allow(keys, first_public, SM_SEC)); /* not yet */
    cr_assert(sm_zeromq_keys_allow(keys, first_public, 2 * SM_SEC));
    unlink(path_of("two.key"));
    cr_assert_not(sm_zeromq_keys_allow(keys, first_public, 3 * SM_SEC));
    unlink(path_of("one.key"));
    cr_assert_not(sm_zeromq_keys_allow(keys, first_public, 4 * SM_SEC));
    sm_zeromq_keys_free(keys);
}
