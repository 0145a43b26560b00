package demo

import (
	"fmt"
	"net/url"
)

// Guide says what there is to see in the shop's traces, and where, on a page at a URL such as http://127.0.0.1:16686/.
func (s *Shop) Guide(page string) string {
	search := func(pairs ...string) string {
		q := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
		}
		return page + "search?" + q.Encode()
	}
	return fmt.Sprintf(`
  The page   %s
  The shop   %s   %d services, %g pages a second

  Three things are wrong with the shop. Find out why:

  1. Now and then a page takes almost a second. Which service makes it wait, and for what?
     %s
  2. Some payments fail and are tried again. What have those that fail in common? The exception says where it broke.
     %s
  3. Mails are sent in traces of their own. Which order was it? Follow the span's link back to the checkout.
     %s

  And: GET /cart asks the catalog once for every product in the cart.
     %s

  Ctrl-C stops all of it.

`, page, s.URL(), len(s.all), s.cfg.Rate,
		search("service", "inventory", "minDuration", "400ms"),
		search("service", "payment", "tags", `{"error":"true"}`),
		search("service", "email"),
		search("service", "frontend", "operation", "GET /cart"))
}
