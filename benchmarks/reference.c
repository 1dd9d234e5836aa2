/* What the limit is: the same work in C, as plainly as a kernel does it.
 *
 * A struct page of 64 bytes, initialised one by one, and a buddy allocator of orders 0 to 10 whose lists run
 * through the struct pages. No migratetypes, zones or flags. Lists and merging are those of the simulator, so
 * that both give the same pages in the same order.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MAX_ORDER 10
#define NONE UINT64_MAX
#define NO_TYPE 0xffffffffu
#define BUDDY 0xf0000000u

struct page {
	uint64_t flags;
	uint64_t next, prev;  /* where the kernel keeps page->lru */
	uint64_t mapping, index, private;
	uint32_t page_type;
	int32_t refcount;
	uint64_t memcg_data;
};
_Static_assert(sizeof(struct page) == 64, "a struct page has 64 bytes");

static struct page *map;
static uint64_t nr, head[MAX_ORDER + 1], tail[MAX_ORDER + 1];

void init_pages(struct page *pages, uint64_t count, uint64_t flags)
{
	for (uint64_t pfn = 0; pfn < count; pfn++) {
		struct page *page = pages + pfn;
		memset(page, 0, sizeof(*page));
		page->flags = flags;
		page->refcount = 1;
		page->page_type = NO_TYPE;
		page->next = page->prev = pfn;
	}
}

static void del(uint64_t pfn, int order)
{
	struct page *page = map + pfn;
	if (page->prev == NONE) head[order] = page->next; else map[page->prev].next = page->next;
	if (page->next == NONE) tail[order] = page->prev; else map[page->next].prev = page->prev;
	page->page_type = NO_TYPE;
	page->private = 0;
}

static void add(uint64_t pfn, int order, int to_tail)
{
	struct page *page = map + pfn;
	page->page_type = BUDDY;
	page->private = order;
	page->prev = to_tail ? tail[order] : NONE;
	page->next = to_tail ? NONE : head[order];
	if (page->prev == NONE) head[order] = pfn; else map[page->prev].next = pfn;
	if (page->next == NONE) tail[order] = pfn; else map[page->next].prev = pfn;
}

static int is_buddy(uint64_t pfn, int order)
{
	return pfn < nr && map[pfn].page_type == BUDDY && map[pfn].private == (uint64_t)order;
}

void buddy_init(struct page *pages, uint64_t count)
{
	map = pages;
	nr = count;
	init_pages(pages, count, 0);
	for (int order = 0; order <= MAX_ORDER; order++)
		head[order] = tail[order] = NONE;
	for (uint64_t pfn = 0; pfn < count; pfn += 1 << MAX_ORDER) {
		for (uint64_t each = pfn; each < pfn + (1 << MAX_ORDER); each++)
			pages[each].refcount = 0;
		add(pfn, MAX_ORDER, 1);
	}
}

uint64_t buddy_alloc(int order)
{
	int high = order;
	while (high <= MAX_ORDER && head[high] == NONE)
		high++;
	if (high > MAX_ORDER)
		return NONE;
	uint64_t pfn = head[high];
	del(pfn, high);
	while (high > order) {
		high--;
		add(pfn + (1ull << high), high, 0);
	}
	map[pfn].refcount = 1;
	return pfn;
}

void buddy_free(uint64_t pfn, int order)
{
	map[pfn].refcount = 0;
	while (order < MAX_ORDER && is_buddy(pfn ^ (1ull << order), order)) {
		del(pfn ^ (1ull << order), order);
		pfn &= ~(1ull << order);
		order++;
	}
	int likely = order < MAX_ORDER - 1 && is_buddy((pfn & ~(1ull << order)) ^ (2ull << order), order + 1);
	add(pfn, order, likely);
}

void buddy_alloc_many(uint64_t *pfns, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		pfns[i] = buddy_alloc(0);
}

/* orders[i], and which[i]: -1 to allocate, or the number of the allocation to free. */
void buddy_script(const int32_t *orders, const int64_t *which, uint64_t steps, uint64_t *pfns, uint64_t got)
{
	for (uint64_t i = 0; i < steps; i++) {
		if (which[i] < 0)
			pfns[got++] = buddy_alloc(orders[i]);
		else
			buddy_free(pfns[which[i]], orders[i]);
	}
}
