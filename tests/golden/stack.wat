  (func $region_1:0 (type $t5) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i32) (local $l4 i32) (local $l5 i64) (local $l6 i64) (local $l7 i64) (local $l8 i64) (local $l9 i64) (local $l10 i32) (local $l11 i64) (local $l12 i64) (local $l13 i32) (local $l14 i64) (local $l15 i64) (local $l16 i64) (local $l17 i32) (local $l18 i64) (local $l19 i64) (local $l20 i64) (local $l21 i32) (local $l22 i32) (local $l23 i32) (local $l24 i32) (local $l25 i32) (local $l26 i32) (local $l27 i32) (local $l28 i32) (local $l29 i32) (local $l30 i32) (local $l31 i32)
    (local.set $l2
      (i32.const 12288))
    (local.set $l3
      (i32.sub
        (i32.load
          (i32.const ADDRESS))
        (i32.const 1)))
    (i32.store
      (i32.const ADDRESS)
      (local.get $l3))
    (if $I0
      (i32.le_s
        (local.get $l3)
        (i32.const 0))
      (then
        (return_call $env.cooled
          (local.get $l2)
          (i32.const ADDRESS)
          (local.get $p1)
          (i32.const ADDRESS))))
    (if $I1
      (i32.lt_s
        (local.tee $l4
          (i32.load offset=1724
            (local.get $l2)))
        (i32.const 4))
      (then
        (return_call $env.tooShort
          (local.get $l2)
          (i32.const ADDRESS))))
    (local.set $l5
      (i64.load
        (local.get $l2)))
    (local.set $l6
      (i64.load offset=16
        (local.get $l2)))
    (local.set $l7
      (i64.load offset=24
        (local.get $l2)))
    (local.set $l8
      (i64.load offset=32
        (local.get $l2)))
    (local.set $l9
      (i64.load offset=136
        (local.get $l2)))
    (local.set $l10
      (i32.load offset=1704
        (local.get $l2)))
    (local.set $l11
      (i64.load offset=144
        (local.get $l2)))
    (local.set $l12
      (i64.load offset=152
        (local.get $l2)))
    (local.set $l13
      (i32.load offset=160
        (local.get $l2)))
    (local.set $l14
      (i64.const 0))
    (block $B2
      (local.set $l4
        (i32.sub
          (local.get $l4)
          (i32.const 4)))
      (local.set $l15
        (local.get $l5))
      (local.set $l16
        (i64.add
          (local.get $l8)
          (i64.const -8)))
      (local.set $l18
        (i64.load offset=131072
          (local.tee $l17
            (i32.add
              (local.get $l10)
              (i32.and
                (i32.shr_u
                  (i32.wrap_i64
                    (local.get $l16))
                  (i32.const 8))
                (i32.const 131056))))))
      (local.set $l20
        (local.tee $l19
          (i64.and
            (i64.add
              (local.get $l16)
              (i64.const 7))
            (i64.const -4096))))
      (if $I3
        (i64.eq
          (local.get $l18)
          (local.get $l19))
        (then
          (local.set $l21
            (i32.load offset=131080
              (local.get $l17)))
          (i64.store
            (i32.add
              (i32.wrap_i64
                (local.get $l16))
              (local.get $l21))
            (local.get $l15)))
        (else
          (i64.store offset=1744
            (local.get $l2)
            (local.get $l15))
          (br_if $B2
            (i32.eqz
              (local.tee $l22
                (call $env.regionWrite
                  (local.get $l2)
                  (local.get $l16)
                  (i32.const 0)
                  (i32.const 7)
                  (local.get $l18)))))
          (local.set $l20
            (i64.const 2048))))
      (local.set $l8
        (local.get $l16))
      (if $I4
        (i32.and
          (local.tee $l22
            (i32.load offset=1548
              (local.get $l2)))
          (i32.const 65536))
        (then
          (i32.store offset=1760
            (local.get $l2)
            (i32.const 3))
          (i32.store offset=1740
            (local.get $l2)
            (i32.const 1))
          (br $B2)))
      (local.set $l17
        (call $env.carryOf
          (local.get $l13)
          (local.get $l11)
          (local.get $l12)))
      (if $I5
        (local.get $l13)
        (then
          (i64.store offset=144
            (local.get $l2)
            (local.get $l11))
          (i64.store offset=152
            (local.get $l2)
            (local.get $l12))
          (i32.store offset=160
            (local.get $l2)
            (local.get $l13))
          (local.set $l23
            (call $helpers.settleFlags
              (i32.const 0)
              (i32.const 0)
              (i32.const 0)
              (i32.const 0)
              (i32.const 0)
              (i32.const 0)))
          (local.set $l11
            (i64.load offset=144
              (local.get $l2)))
          (local.set $l12
            (i64.load offset=152
              (local.get $l2)))))
      (local.set $l24
        (i32.xor
          (i32.and
            (i32.popcnt
              (i32.and
                (i32.wrap_i64
                  (i64.xor
                    (local.get $l11)
                    (i64.shr_u
                      (local.get $l12)
                      (i64.const 8))))
                (i32.const 255)))
            (i32.const 1))
          (i32.const 1)))
      (local.set $l25
        (i32.and
          (i32.wrap_i64
            (i64.shr_u
              (local.get $l12)
              (i64.const 3)))
          (i32.const 1)))
      (local.set $l26
        (i64.eqz
          (local.get $l11)))
      (local.set $l27
        (i32.and
          (i32.xor
            (i32.wrap_i64
              (i64.shr_u
                (local.get $l11)
                (i64.const 63)))
            (i32.wrap_i64
              (i64.shr_u
                (local.get $l12)
                (i64.const 16))))
          (i32.const 1)))
      (local.set $l28
        (i32.or
          (i32.or
            (i32.or
              (local.get $l17)
              (i32.shl
                (local.get $l24)
                (i32.const 2)))
            (i32.or
              (i32.shl
                (local.get $l25)
                (i32.const 4))
              (i32.shl
                (local.get $l26)
                (i32.const 6))))
          (i32.or
            (i32.shl
              (local.get $l27)
              (i32.const 7))
            (i32.const 2))))
      (local.set $l29
        (i32.wrap_i64
          (i64.shr_u
            (i64.xor
              (local.get $l12)
              (i64.shl
                (local.get $l12)
                (i64.const 1)))
            (i64.const 63))))
      (local.set $l19
        (i64.extend_i32_u
          (i32.or
            (i32.and
              (local.tee $l30
                (i32.load offset=168
                  (local.get $l2)))
              (i32.const -196609))
            (i32.or
              (local.get $l28)
              (i32.shl
                (local.get $l29)
                (i32.const 11))))))
      (if $I6
        (i64.eq
          (i64.and
            (local.tee $l18
              (i64.add
                (local.get $l8)
                (i64.const -8)))
            (i64.const -4089))
          (local.get $l20))
        (then
          (i64.store
            (i32.add
              (i32.wrap_i64
                (local.get $l18))
              (local.get $l21))
            (local.get $l19)))
        (else
          (i64.store offset=1744
            (local.get $l2)
            (local.get $l19))
          (br_if $B2
            (i32.eqz
              (local.tee $l31
                (call $env.regionWrite
                  (local.get $l2)
                  (local.get $l18)
                  (i32.const 2)
                  (i32.const 7)
                  (i64.const 0)))))))
      (local.set $l19
        (i64.load
          (local.tee $l30
            (if $I7 (result i32)
              (i64.eq
                (i64.and
                  (local.tee $l18
                    (local.tee $l8
                      (local.get $l18)))
                  (i64.const -4089))
                (local.get $l20))
              (then
                (i32.add
                  (i32.wrap_i64
                    (local.get $l18))
                  (local.get $l21)))
              (else
                (br_if $B2
                  (i32.eqz
                    (local.tee $l31
                      (call $env.regionRead
                        (local.get $l2)
                        (local.get $l18)
                        (i32.const 3)
                        (i32.const 7)
                        (i64.const 0)))))
                (local.get $l31))))))
      (local.set $l8
        (local.tee $l16
          (i64.add
            (local.get $l8)
            (i64.const 8))))
      (local.set $l6
        (local.get $l19))
      (local.set $l19
        (i64.load
          (local.tee $l31
            (if $I8 (result i32)
              (i64.eq
                (i64.and
                  (local.tee $l16
                    (local.get $l8))
                  (i64.const -4089))
                (local.get $l20))
              (then
                (i32.add
                  (i32.wrap_i64
                    (local.get $l16))
                  (local.get $l21)))
              (else
                (br_if $B2
                  (i32.eqz
                    (local.tee $l30
                      (call $env.regionRead
                        (local.get $l2)
                        (local.get $l16)
                        (i32.const 4)
                        (i32.const 7)
                        (i64.const 0)))))
                (local.get $l30))))))
      (local.set $l8
        (local.tee $l18
          (i64.add
            (local.get $l8)
            (i64.const 8))))
      (local.set $l7
        (local.get $l19))
      (local.set $l18
        (i64.add
          (local.get $l9)
          (i64.const 4)))
      (i64.store offset=16
        (local.get $l2)
        (local.get $l6))
      (i64.store offset=24
        (local.get $l2)
        (local.get $l7))
      (i64.store offset=32
        (local.get $l2)
        (local.get $l8))
      (i64.store offset=144
        (local.get $l2)
        (local.get $l11))
      (i64.store offset=152
        (local.get $l2)
        (local.get $l12))
      (i32.store offset=160
        (local.get $l2)
        (i32.const 0))
      (i32.store offset=1724
        (local.get $l2)
        (local.get $l4))
      (i64.store offset=136
        (local.get $l2)
        (local.get $l18))
      (return_call_indirect (type $t5)
        (local.get $l2)
        (i32.const ADDRESS)
        (i32.load offset=12
          (i32.const ADDRESS)))
      (unreachable))
    (i64.store offset=16
      (local.get $l2)
      (local.get $l6))
    (i64.store offset=24
      (local.get $l2)
      (local.get $l7))
    (i64.store offset=32
      (local.get $l2)
      (local.get $l8))
    (i64.store offset=144
      (local.get $l2)
      (local.get $l11))
    (i64.store offset=152
      (local.get $l2)
      (local.get $l12))
    (i32.store offset=160
      (local.get $l2)
      (local.get $l13))
    (i64.store offset=136
      (local.get $l2)
      (local.get $l9))
    (i32.store offset=1724
      (local.get $l2)
      (local.get $l4))
    (return
      (i32.const 7))
    (unreachable))
