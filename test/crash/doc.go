// Package crash kills the real server at random moments under load, damages its files, and looks at what is left.
package crash
