package pair

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"fly-pops/pop/internal/testpki"
)

// permutations of numbers below n, all of them.
func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{{}}
	}
	var all [][]int
	for _, shorter := range permutations(n - 1) {
		for at := range n {
			longer := append([]int{}, shorter[:at]...)
			all = append(all, append(append(longer, n-1), shorter[at:]...))
		}
	}
	return all
}

// world of authorities, by the names that the tests use.
func authorities(t testing.TB) (key string, all map[string]*x509.Certificate) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ended, farAway := at.AddDate(0, -1, 0), at.AddDate(5, 0, 0)
	oldRoot, root := testpki.Root(t, at.AddDate(-9, 0, 0)), testpki.Root(t, yearAgo)
	upper := root.Intermediate(yearAgo, farAway)
	lower := upper.Intermediate(yearAgo, nextYear)
	pair := lower.Issue(host, at, nextYear, secret, nil)
	before := lower.Issue(host, yearAgo, at.AddDate(0, 0, 9), secret, nil)
	past := lower.Issue(host, yearAgo, ended, secret, nil)
	aliased := lower.Issue("other.example.test", at, farAway, secret, nil)
	stranger := testpki.Root(t, yearAgo).Intermediate(yearAgo, nextYear)
	return pair.Key, map[string]*x509.Certificate{
		"leaf": pair.Leaf, "leaf before": before.Leaf, "expired leaf": past.Leaf, "leaf of another host": aliased.Leaf,
		"lower": lower.Certificate, "expired lower": lower.Cross(upper, yearAgo, ended), "future lower": lower.Cross(upper, at.AddDate(0, 1, 0), farAway),
		"upper": upper.Certificate, "expired upper": upper.Cross(root, yearAgo, ended), "root": root.Certificate,
		"crossed root": root.Cross(oldRoot, yearAgo, nextYear), "expired crossed root": root.Cross(oldRoot, yearAgo, ended), "old root": oldRoot.Certificate,
		"lower by the root": lower.Cross(root, yearAgo, at.AddDate(0, 6, 0)),
		"stranger":          stranger.Certificate, "stranger's leaf": stranger.Issue(host, at, nextYear, nil, nil).Leaf,
	}
}

// What is sent is the same in whatever order the certificates come.
func TestChains(t *testing.T) {
	key, all := authorities(t)
	for given, want := range map[string]string{
		"leaf":                                           "leaf",
		"leaf, lower":                                    "leaf, lower",
		"leaf, lower, upper":                             "leaf, lower, upper",
		"leaf, lower, upper, root":                       "leaf, lower, upper",
		"leaf, lower, upper, lower, leaf":                "leaf, lower, upper",
		"leaf, lower, upper, crossed root":               "leaf, lower, upper, crossed root",
		"leaf, lower, upper, root, crossed root":         "leaf, lower, upper, crossed root",
		"leaf, lower, upper, crossed root, old root":     "leaf, lower, upper, crossed root",
		"leaf, lower, upper, expired crossed root":       "leaf, lower, upper",
		"leaf, lower, upper, root, expired crossed root": "leaf, lower, upper",
		"leaf, lower, expired upper":                     "leaf, lower",
		"leaf, lower, expired upper, root":               "leaf, lower",
		"leaf, lower, upper, expired upper":              "leaf, lower, upper",
		"leaf, lower, expired lower, future lower":       "leaf, lower",
		"leaf, lower, lower by the root, upper":          "leaf, lower, upper",
		"leaf, lower by the root, expired lower, root":   "leaf, lower by the root",
		"leaf, lower, stranger":                          "leaf, lower",
		"leaf, lower, stranger, stranger's leaf":         "leaf, lower",
		"leaf, lower, leaf before":                       "leaf, lower",
		"leaf, lower, expired leaf":                      "leaf, lower",
		"leaf before, lower, expired leaf":               "leaf before, lower",
		"leaf, lower, leaf of another host":              "leaf, lower",
		"leaf, stranger's leaf":                          "leaf",
		"leaf, upper, root":                              "none of the other certificates issued that of www.example.test",
		"leaf, stranger":                                 "none of the other certificates issued that of www.example.test",
		"leaf, root":                                     "none of the other certificates issued that of www.example.test",
		"leaf, expired lower":                            "certificate 2 of the chain expired",
		"leaf, expired lower, upper, root":               "certificate 2 of the chain expired",
		"leaf, future lower, upper":                      "certificate 2 of the chain is valid only from",
		"expired leaf, lower":                            "the certificate expired",
		"leaf of another host, lower":                    "not for www.example.test but for [other.example.test]",
		"lower, upper, root":                             "the key does not belong to any of the 3 certificates",
		"stranger's leaf, stranger":                      "the key does not belong to any of the 2 certificates",
		"lower":                                          "the key does not belong to the certificate",
	} {
		t.Run(given, func(t *testing.T) {
			names := strings.Split(given, ", ")
			for _, order := range permutations(len(names)) {
				text := ""
				for _, at := range order {
					if all[names[at]] == nil {
						t.Fatalf("no %q", names[at])
					}
					text += testpki.PEM(all[names[at]])
				}
				leaf, content, err := Check(host, key, text, at)
				if got := outcome(t, all, leaf, content, err); !strings.HasPrefix(got, want) && (err == nil || !strings.Contains(got, want)) || err == nil && got != want {
					t.Fatalf("in the order %v it is %q, want %q", order, got, want)
				}
			}
		})
	}
}

// outcome is the names of the arranged certificates, or the error.
func outcome(t *testing.T, all map[string]*x509.Certificate, leaf *x509.Certificate, content []byte, err error) string {
	if err != nil {
		return err.Error()
	}
	pair, err := tls.X509KeyPair(content, content)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, der := range pair.Certificate {
		for name, certificate := range all {
			if string(certificate.Raw) == string(der) {
				names = append(names, name)
			}
		}
	}
	if string(pair.Certificate[0]) != string(leaf.Raw) {
		t.Errorf("the first is not the one that is said")
	}
	return strings.Join(names, ", ")
}

// One that signed itself is sent, as it is all there is.
func TestASelfSignedCertificateIsSent(t *testing.T) {
	root := testpki.Root(t, yearAgo)
	crossed := root.Issue(host, at, nextYear, nil, nil)
	text := testpki.PEM(crossed.Leaf) + testpki.PEM(root.Certificate)
	_, content, err := Check(host, crossed.Key, text, at)
	if err != nil || string(content) != testpki.PEM(crossed.Leaf)+crossed.Key {
		t.Errorf("a root's own: %v\n%s", err, content)
	}
}

func TestSplit(t *testing.T) {
	pair := testpki.Root(t, yearAgo).Intermediate(yearAgo, nextYear).Issue(host, at, nextYear, nil, nil)
	leaf, issuer, _ := strings.Cut(pair.Chain, "-----\n-----")
	leaf, issuer = leaf+"-----\n", "-----"+issuer
	for name, text := range map[string]string{
		"key first":         pair.Key + pair.Chain,
		"key last":          pair.Chain + pair.Key,
		"key in the middle": leaf + pair.Key + issuer,
		"words around":      "Bag Attributes\n" + pair.Key + "subject=x\n" + pair.Chain + "end\n",
	} {
		if key, chain := Split(text); key != pair.Key || chain != pair.Chain {
			t.Errorf("%s: key %q, chain %q", name, key, chain)
		}
	}
	if key, chain := Split(""); key != "" || chain != "" {
		t.Error("something of nothing")
	}
	if key, _ := Split(pair.Key + pair.Chain + pemOf("X9.42 DH PARAMETERS", "x")); !strings.Contains(key, "DH PARAMETERS") {
		t.Error("what is neither is passed over")
	}
}

// However many certificates there are, and whatever they say, there is an answer.
func TestManyCertificates(t *testing.T) {
	root := testpki.Root(t, yearAgo)
	text := ""
	above := root
	for range 40 {
		above = above.Intermediate(yearAgo, nextYear)
		text += testpki.PEM(above.Certificate)
	}
	pair := above.Issue(host, at, nextYear, nil, nil)
	_, content, err := Check(host, pair.Key, text+testpki.PEM(pair.Leaf), at)
	if count := strings.Count(string(content), "BEGIN CERTIFICATE"); err != nil || count != 41 {
		t.Error(fmt.Sprint(count, err))
	}
}
