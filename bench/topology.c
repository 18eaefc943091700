/* Five tiers: 4 entries, 8 front services, 12 domain services, 10 shared services, 6 leaves. Calls go downwards only.
 */
#include "bench/topology.h"

const struct bench_service bench_topology_services[BENCH_TOPOLOGY_SERVICES] = {
    {"web-gateway", "page", "nodejs", false},        {"mobile-bff", "screen", "nodejs", false},
    {"partner-api", "partner", "java", false},       {"admin-portal", "report", "python", false},
    {"storefront", "product", "java", false},        {"cart-service", "cart", "go", true},
    {"checkout-service", "order", "go", true},       {"search-service", "query", "java", false},
    {"account-service", "account", "java", false},   {"recommendation", "suggestion", "python", true},
    {"content-service", "article", "nodejs", false}, {"session-service", "session", "go", true},
    {"catalog-service", "item", "java", true},       {"pricing-service", "price", "go", true},
    {"inventory-service", "stock", "java", true},    {"payment-service", "payment", "java", false},
    {"shipping-service", "parcel", "go", true},      {"promotion-service", "voucher", "dotnet", false},
    {"review-service", "review", "python", false},   {"wishlist-service", "wish", "nodejs", false},
    {"order-history", "history", "java", false},     {"tax-service", "tax", "dotnet", true},
    {"fraud-service", "score", "python", true},      {"loyalty-service", "points", "dotnet", false},
    {"user-profile", "profile", "java", true},       {"address-service", "address", "go", true},
    {"currency-service", "rate", "cpp", true},       {"image-service", "image", "go", false},
    {"email-service", "mail", "python", false},      {"sms-service", "message", "nodejs", false},
    {"ledger-service", "entry", "java", true},       {"warehouse-service", "bin", "java", true},
    {"carrier-adapter", "label", "go", false},       {"bank-adapter", "transfer", "java", false},
    {"auth-service", "token", "go", true},           {"config-service", "setting", "go", true},
    {"feature-flags", "flag", "go", true},           {"audit-service", "event", "java", true},
    {"geo-service", "place", "rust", true},          {"notification-hub", "notice", "go", true},
};

const struct bench_database bench_topology_databases[BENCH_TOPOLOGY_DATABASES] = {
    {"postgresql", "pg-main.db.shop.internal", 5432},
    {"mysql", "mysql-core.db.shop.internal", 3306},
    {"mongodb", "mongo-docs.db.shop.internal", 27017},
    {"redis", "redis-cache.db.shop.internal", 6379},
};

const char *const bench_topology_verbs[BENCH_TOPOLOGY_OPERATIONS] = {"Get", "List", "Create", "Update", "Delete"};
const char *const bench_topology_methods[BENCH_TOPOLOGY_OPERATIONS] = {"GET", "GET", "POST", "PUT", "DELETE"};

enum { TIERS = 5 };
static const uint8_t tier_starts[TIERS + 1] = {0, 4, 12, 24, 34, 40};

static uint32_t tier_of(uint32_t service)
{
    uint32_t tier = 0;
    while (service >= tier_starts[tier + 1])
        tier++;
    return tier;
}

uint32_t bench_topology_callees(uint32_t service)
{
    uint32_t tier = tier_of(service);
    if (tier == TIERS - 1)
        return 0;
    return tier == 0 ? 4 : 2 + service % 3;
}

uint32_t bench_topology_callee(uint32_t service, uint32_t k)
{
    uint32_t tier = tier_of(service);
    uint32_t below = tier + 1 + (k == 3 && tier + 2 < TIERS); /* the fourth callee skips a tier */
    uint32_t size = tier_starts[below + 1] - tier_starts[below];
    return tier_starts[below] + ((service - tier_starts[tier]) * 2 + k) % size;
}

uint32_t bench_topology_database(uint32_t service)
{
    return service % BENCH_TOPOLOGY_DATABASES;
}

uint32_t bench_topology_consumer(uint32_t service)
{
    static const uint8_t consumers[] = {28, 29, 37, 39, 30};
    uint32_t tier = tier_of(service);
    if (tier == 0 || tier >= 3)
        return service;
    return consumers[service % SM_ARRAY_LEN(consumers)];
}
