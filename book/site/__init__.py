"""The book as a static web site: pages made of stored outputs, and players in the place of explorers."""
