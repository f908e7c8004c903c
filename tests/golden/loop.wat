  (func $region_1:0 (type $t4) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i32) (local $l4 i32) (local $l5 i64) (local $l6 i64) (local $l7 i64) (local $l8 i32) (local $l9 i32) (local $l10 i32) (local $l11 i64) (local $l12 i64) (local $l13 i64) (local $l14 i32) (local $l15 i64) (local $l16 i32) (local $l17 i32) (local $l18 i32) (local $l19 i64) (local $l20 i64) (local $l21 i64)
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
    (local.set $l8
      (i32.load offset=1704
        (local.get $l2)))
    (block $B2
      (block $B3
        (block $B4
          (block $B5
            (block $B6
              (local.set $l4
                (i32.sub
                  (local.get $l4)
                  (i32.const 1)))
              (local.set $l16
                (i32.wrap_i64
                  (local.tee $l5
                    (i64.load
                      (local.get $l2)))))
              (local.set $l17
                (i32.wrap_i64
                  (local.get $l5)))
              (local.set $l12
                (i64.extend_i32_u
                  (local.tee $l18
                    (i32.xor
                      (local.get $l16)
                      (local.get $l17)))))
              (local.set $l5
                (i64.extend_i32_u
                  (local.get $l18)))
              (local.set $l14
                (i32.const 22))
              (local.set $l6
                (i64.load offset=8
                  (local.get $l2)))
              (i64.store
                (local.get $l2)
                (local.get $l5))
              (loop $L7
                (local.set $l4
                  (i32.sub
                    (local.get $l4)
                    (i32.const 3)))
                (local.set $l19
                  (local.get $l5))
                (local.set $l20
                  (local.get $l6))
                (local.set $l12
                  (local.tee $l21
                    (i64.add
                      (local.get $l19)
                      (local.get $l20))))
                (local.set $l13
                  (local.get $l19))
                (local.set $l5
                  (local.get $l21))
                (local.set $l20
                  (i64.sub
                    (local.tee $l21
                      (local.get $l6))
                    (i64.const 1)))
                (local.set $l18
                  (i64.lt_u
                    (local.get $l12)
                    (local.get $l13)))
                (local.set $l12
                  (local.get $l20))
                (local.set $l13
                  (i64.extend_i32_u
                    (local.get $l18)))
                (local.set $l6
                  (local.get $l20))
                (if $I8
                  (local.tee $l17
                    (i32.xor
                      (local.tee $l18
                        (i64.eqz
                          (local.get $l12)))
                      (i32.const 1)))
                  (then
                    (local.set $l14
                      (i32.const 19))
                    (if $I9
                      (i32.lt_s
                        (local.get $l4)
                        (i32.const 3))
                      (then
                        (i64.store
                          (local.get $l2)
                          (local.get $l5))
                        (i64.store offset=8
                          (local.get $l2)
                          (local.get $l6))
                        (i64.store offset=144
                          (local.get $l2)
                          (local.get $l12))
                        (i64.store offset=152
                          (local.get $l2)
                          (local.get $l13))
                        (i32.store offset=160
                          (local.get $l2)
                          (local.get $l14))
                        (i32.store offset=1724
                          (local.get $l2)
                          (local.get $l4))
                        (local.set $l20
                          (i64.load offset=136
                            (local.get $l2)))
                        (i64.store offset=136
                          (local.get $l2)
                          (i64.add
                            (local.get $l20)
                            (i64.const 2)))
                        (return
                          (i32.const 0))))
                    (br $L7)))
                (i64.store
                  (local.get $l2)
                  (local.get $l5))
                (i64.store offset=8
                  (local.get $l2)
                  (local.get $l6))
                (i64.store offset=144
                  (local.get $l2)
                  (local.get $l12))
                (i64.store offset=152
                  (local.get $l2)
                  (local.get $l13))
                (i32.store offset=160
                  (local.get $l2)
                  (i32.const 19))
                (local.set $l9
                  (i32.const ADDRESS))
                (local.set $l10
                  (i32.const 10))
                (br $B4))
              (unreachable))
            (unreachable))
          (unreachable))
        (i32.store offset=1724
          (local.get $l2)
          (local.get $l4))
        (local.set $l20
          (i64.add
            (i64.load offset=136
              (local.get $l2))
            (i64.extend_i32_s
              (local.get $l10))))
        (i64.store offset=136
          (local.get $l2)
          (local.get $l20))
        (local.set $l17
          (local.get $l9))
        (return_call_indirect (type $t4)
          (local.get $l2)
          (local.get $l17)
          (i32.load offset=12
            (local.get $l17))))
      (return_call $env.missedtrue
        (local.get $l2)
        (local.get $l7)
        (i32.const ADDRESS)))
    (return
      (i32.const 7))
    (unreachable))
