# Ordinary interpreted work whose time is spread over many small routines rather than over one loop: text, hashes,
# sorting, parsing, dynamic programming, floating point, compression, graphs, objects. Prints a checksum of all results.
# usage: perl flat.pl ROUNDS
use strict;
use integer;

my $random;    # state of a linear congruential generator (32 bits)
my $checksum;  # CRC-32 of all results
my @crc_table = map {
    my $value = $_;
    $value = $value & 1 ? 0xedb88320 ^ ($value >> 1) : $value >> 1 for 1 .. 8;
    $value;
} 0 .. 255;

sub random_below {
    my ($limit) = @_;
    $random = ($random * 1664525 + 1013904223) & 0xffffffff;
    return ($random >> 8) % $limit;
}

sub crc32 {
    my ($crc, $text) = @_;
    $crc ^= 0xffffffff;
    $crc = $crc_table[($crc ^ $_) & 255] ^ ($crc >> 8) for unpack 'C*', $text;
    return $crc ^ 0xffffffff;
}

sub fold { $checksum = crc32($checksum, join ' ', @_) }

# --- text

my @syllables = qw(ba ce di fo gu la me ni po ru sha the tri vo wen xy zor ka lin mar);

sub make_word { return join '', map { $syllables[random_below(scalar @syllables)] } 1 .. 1 + random_below(3) }

sub make_text {
    my ($sentences) = @_;
    my @text;
    for (1 .. $sentences) {
        my @words = map { make_word() } 1 .. 4 + random_below(8);
        $words[0] = ucfirst $words[0];
        splice @words, 2, 0, random_below(10000) if random_below(3) == 0;
        push @text, join(' ', @words) . (random_below(5) ? '.' : '?');
    }
    return join ' ', @text;
}

sub count_words {
    my ($text) = @_;
    my %count;
    $count{lc $1}++ while $text =~ /([A-Za-z]+)/g;
    my @order = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
    $#order = 19 if @order > 20;
    return map { "$_=$count{$_}" } @order;
}

sub rewrite_text {
    my ($text) = @_;
    $text =~ s/\b(\d+)\b/sprintf('%05x', $1)/ge;
    $text =~ s/([aeiou])\1*/$1/g;
    $text =~ s/\b(\w)(\w+)\b/$2$1ay/g;
    (my $rotated = $text) =~ tr/a-z/n-za-m/;
    my @lines;
    push @lines, $1 while $rotated =~ /\G\s*(.{1,60})(?:\s+|$)/gc;
    return map { sprintf '%-60s|%3d', $_, length } @lines;
}

# --- expressions: recursive descent over a token list

sub make_expression {
    my ($depth) = @_;
    return 1 + random_below(99) if $depth == 0 || random_below(6) == 0;
    my $operator = (qw(+ - * / %))[random_below(5)];
    my ($left, $right) = (make_expression($depth - 1), make_expression($depth - 1));
    return random_below(2) ? "($left $operator $right)" : "$left $operator ($right)";
}

sub parse_primary {
    my ($tokens) = @_;
    my $token = shift @$tokens;
    return $token if $token ne '(';
    my $value = parse_sum($tokens);
    shift @$tokens;    # ')'
    return $value;
}

sub parse_product {
    my ($tokens) = @_;
    my $value = parse_primary($tokens);
    while (@$tokens && $tokens->[0] =~ m{^[*/%]$}) {
        my $operator = shift @$tokens;
        my $right = parse_primary($tokens) || 1;
        $value = $operator eq '*' ? $value * $right : $operator eq '/' ? $value / $right : $value % $right;
        $value &= 0xffffff;
    }
    return $value;
}

sub parse_sum {
    my ($tokens) = @_;
    my $value = parse_product($tokens);
    while (@$tokens && $tokens->[0] =~ /^[-+]$/) {
        my $operator = shift @$tokens;
        my $right = parse_product($tokens);
        $value = $operator eq '+' ? $value + $right : $value - $right;
    }
    return $value;
}

sub evaluate { return parse_sum([$_[0] =~ m{\d+|[-+*/%()]}g]) }

# --- dynamic programming

sub edit_distance {
    my ($from, $to) = @_;
    my @row = (0 .. length $to);
    for my $i (1 .. length $from) {
        my @next = ($i);
        for my $j (1 .. length $to) {
            my $best = $row[$j - 1] + (substr($from, $i - 1, 1) ne substr($to, $j - 1, 1));
            $best = $row[$j] + 1 if $row[$j] + 1 < $best;
            $best = $next[$j - 1] + 1 if $next[$j - 1] + 1 < $best;
            push @next, $best;
        }
        @row = @next;
    }
    return $row[-1];
}

# --- floating point

sub multiply_matrices {
    no integer;
    my ($size) = @_;
    my @a = map { [map { random_below(1000) / 64 } 1 .. $size] } 1 .. $size;
    my @b = map { [map { random_below(1000) / 64 } 1 .. $size] } 1 .. $size;
    my $trace = 0;
    for my $i (0 .. $size - 1) {
        for my $j (0 .. $size - 1) {
            my $sum = 0;
            $sum += $a[$i][$_] * $b[$_][$j] for 0 .. $size - 1;
            $trace += sqrt($sum) if $i == $j;
        }
    }
    return sprintf '%.9e', $trace;
}

# --- compression: references to earlier text, and back

sub compress {
    my ($text) = @_;
    my (%seen, @codes);
    my $at = 0;
    while ($at < length $text) {
        my $key = substr $text, $at, 4;
        my $earlier = $seen{$key};
        $seen{$key} = $at;
        if (defined $earlier && length $key == 4) {
            my $length = 4;
            $length++ while $length < 64 && $at + $length < length $text
                && substr($text, $earlier + $length, 1) eq substr($text, $at + $length, 1);
            push @codes, [$at - $earlier, $length];
            $at += $length;
        } else {
            push @codes, substr $text, $at++, 1;
        }
    }
    return @codes;
}

sub expand {
    my $text = '';
    for my $code (@_) {
        if (ref $code) {
            my ($distance, $length) = @$code;
            $text .= substr $text, -$distance, 1 for 1 .. $length;
        } else {
            $text .= $code;
        }
    }
    return $text;
}

# --- a graph: shortest paths on a grid, with a binary heap

sub heap_push {
    my ($heap, $item) = @_;
    push @$heap, $item;
    my $at = $#$heap;
    while ($at > 0) {
        my $parent = ($at - 1) >> 1;
        last if $heap->[$parent][0] <= $heap->[$at][0];
        @$heap[$parent, $at] = @$heap[$at, $parent];
        $at = $parent;
    }
}

sub heap_pop {
    my ($heap) = @_;
    my $top = $heap->[0];
    my $last = pop @$heap;
    return $top unless @$heap;
    $heap->[0] = $last;
    my $at = 0;
    while ((my $child = 2 * $at + 1) < @$heap) {
        $child++ if $child + 1 < @$heap && $heap->[$child + 1][0] < $heap->[$child][0];
        last if $heap->[$at][0] <= $heap->[$child][0];
        @$heap[$at, $child] = @$heap[$child, $at];
        $at = $child;
    }
    return $top;
}

sub shortest_path {
    my ($size) = @_;
    my @cost = map { 1 + random_below(9) } 1 .. $size * $size;
    my @distance;
    my $heap = [[0, 0]];
    while (@$heap) {
        my ($length, $cell) = @{heap_pop($heap)};
        next if defined $distance[$cell];
        $distance[$cell] = $length;
        my ($x, $y) = ($cell % $size, $cell / $size);
        for my $neighbour ([$x - 1, $y], [$x + 1, $y], [$x, $y - 1], [$x, $y + 1]) {
            my ($nx, $ny) = @$neighbour;
            next if $nx < 0 || $ny < 0 || $nx >= $size || $ny >= $size;
            my $next = $ny * $size + $nx;
            heap_push($heap, [$length + $cost[$next], $next]) unless defined $distance[$next];
        }
    }
    return $distance[-1];
}

# --- objects and closures: a shop with queues

package Counter {
    sub new { my ($class, $name, $speed) = @_; return bless { name => $name, speed => $speed, queue => [], done => 0 }, $class }
    sub enter { my ($self, $customer) = @_; push @{$self->{queue}}, $customer; return $self }
    sub waiting { return scalar @{$_[0]{queue}} }
    sub work {
        my ($self) = @_;
        my $customer = $self->{queue}[0] or return;
        $customer->{items} -= $self->{speed};
        return if $customer->{items} > 0;
        $self->{done}++;
        return shift @{$self->{queue}};
    }
    sub report { my ($self) = @_; return "$self->{name}:$self->{done}:" . $self->waiting }
}

sub run_shop {
    my ($minutes) = @_;
    my @counters = map { Counter->new("c$_", $_) } 1 .. 4;
    my %served;
    my $arrive = do {
        my $number = 0;
        sub { return { name => 'customer' . ++$number, items => 3 + random_below(20), since => $_[0] } };
    };
    for my $minute (1 .. $minutes) {
        my ($shortest) = sort { $a->waiting <=> $b->waiting || $a->{name} cmp $b->{name} } @counters;
        $shortest->enter($arrive->($minute)) if random_below(3);
        for my $counter (@counters) {
            my $customer = $counter->work or next;
            $served{$customer->{name}} = $minute - $customer->{since};
        }
    }
    my $waited = 0;
    $waited += $served{$_} for sort keys %served;
    return ((map { $_->report } @counters), $waited);
}

# --- records: packed, unpacked, sorted by several keys, printed

sub sort_records {
    my ($count) = @_;
    my $packed = join '', map { pack 'NnA12', random_below(1000), random_below(50), make_word() } 1 .. $count;
    my @records = map { [unpack 'NnA12', $_] } unpack '(a18)*', $packed;
    my @sorted = sort { $a->[1] <=> $b->[1] || $a->[2] cmp $b->[2] || $a->[0] <=> $b->[0] } @records;
    my %groups;
    push @{$groups{$_->[1]}}, $_->[2] for @sorted;
    return map { sprintf '%02d %s', $_, join ',', reverse @{$groups{$_}} } sort { $a <=> $b } keys %groups;
}

# --- search with backtracking

sub place_queens {
    my ($size, $row, $columns, $rising, $falling) = @_;
    return 1 if $row == $size;
    my $solutions = 0;
    for my $column (0 .. $size - 1) {
        next if $columns->{$column} || $rising->{$row + $column} || $falling->{$row - $column};
        $columns->{$column} = $rising->{$row + $column} = $falling->{$row - $column} = 1;
        $solutions += place_queens($size, $row + 1, $columns, $rising, $falling);
        delete $columns->{$column};
        delete $rising->{$row + $column};
        delete $falling->{$row - $column};
    }
    return $solutions;
}

my ($rounds) = @ARGV;
die "usage: flat.pl ROUNDS\n" unless defined $rounds && $rounds =~ /^[1-9]\d*$/;
($random, $checksum) = (2463534242, 0);
for my $round (1 .. $rounds) {
    my $text = make_text(40);
    fold(count_words($text), count_words(scalar reverse $text));
    fold(rewrite_text($text));
    fold(map { evaluate(make_expression(5)) } 1 .. 16);
    fold(map { edit_distance(make_word() . make_word(), make_word() . make_word()) } 1 .. 16);
    fold(multiply_matrices(17));
    my @codes = compress($text);
    fold(scalar @codes, map { ref $_ ? "@$_" : $_ } @codes[0 .. 30]);
    die "expand does not undo compress\n" if expand(@codes) ne $text;
    fold(shortest_path(13));
    fold(run_shop(150));
    fold(sort_records(150));
    fold(place_queens(6, 0, {}, {}, {}));
}
printf "%08x\n", $checksum;
