  (func $region_1:0 (type $t5) (param $p0 i32) (param $p1 i32) (result i32)
    (local $l2 i32) (local $l3 i32) (local $l4 i32) (local $l5 i64) (local $l6 i64) (local $l7 i32) (local $l8 i64) (local $l9 i64) (local $l10 i32) (local $l11 i64) (local $l12 i64) (local $l13 i32) (local $l14 i64) (local $l15 i64) (local $l16 i64) (local $l17 i32) (local $l18 i32) (local $l19 i32) (local $l20 f64) (local $l21 f64) (local $l22 f64) (local $l23 f64) (local $l24 f64) (local $l25 i64) (local $l26 i32)
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
      (i64.load offset=48
        (local.get $l2)))
    (local.set $l6
      (i64.load offset=136
        (local.get $l2)))
    (local.set $l7
      (i32.load offset=1704
        (local.get $l2)))
    (local.set $l8
      (i64.load offset=144
        (local.get $l2)))
    (local.set $l9
      (i64.load offset=152
        (local.get $l2)))
    (local.set $l10
      (i32.load offset=160
        (local.get $l2)))
    (local.set $l11
      (i64.const 0))
    (block $B2
      (local.set $l4
        (i32.sub
          (local.get $l4)
          (i32.const 4)))
      (local.set $l12
        (local.get $l5))
      (local.set $l14
        (i64.load
          (local.tee $l13
            (i32.add
              (local.get $l7)
              (i32.and
                (i32.shr_u
                  (i32.wrap_i64
                    (local.get $l12))
                  (i32.const 8))
                (i32.const 131056))))))
      (local.set $l16
        (local.tee $l15
          (i64.and
            (i64.add
              (local.get $l12)
              (i64.const 7))
            (i64.const -4096))))
      (local.set $l20
        (f64.load
          (local.tee $l19
            (if $I3 (result i32)
              (i64.eq
                (local.get $l14)
                (local.get $l15))
              (then
                (local.set $l17
                  (i32.load offset=8
                    (local.get $l13)))
                (i32.add
                  (i32.wrap_i64
                    (local.get $l12))
                  (local.get $l17)))
              (else
                (br_if $B2
                  (i32.eqz
                    (local.tee $l18
                      (call $env.regionRead
                        (local.get $l2)
                        (local.get $l12)
                        (i32.const 0)
                        (i32.const 7)
                        (local.get $l14)))))
                (local.set $l16
                  (i64.const 2048))
                (local.get $l18))))))
      (local.set $l21
        (f64.load offset=1104
          (local.get $l2)))
      (if $I4
        (i32.eqz
          (i32.lt_u
            (i32.sub
              (i32.wrap_i64
                (i64.shr_u
                  (i64.reinterpret_f64
                    (local.get $l20))
                  (i64.const 31)))
              (i32.const ADDRESS))
            (i32.const ADDRESS)))
        (then
          (if $I5
            (i32.eqz
              (i64.eq
                (local.tee $l15
                  (i64.shl
                    (i64.reinterpret_f64
                      (local.get $l20))
                    (i64.const 1)))
                (i64.const 0)))
            (then
              (call $env.regionAbandon
                (i32.const 1)
                (i32.const 8192))
              (v128.store offset=1088
                (local.get $l2)
                (f64x2.replace_lane 0
                  (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                  (local.get $l20)))
              (br $B2)))))
      (if $I6
        (i32.eqz
          (i32.lt_u
            (i32.sub
              (i32.wrap_i64
                (i64.shr_u
                  (i64.reinterpret_f64
                    (local.get $l21))
                  (i64.const 31)))
              (i32.const ADDRESS))
            (i32.const ADDRESS)))
        (then
          (if $I7
            (i32.eqz
              (i64.eq
                (local.tee $l14
                  (i64.shl
                    (i64.reinterpret_f64
                      (local.get $l21))
                    (i64.const 1)))
                (i64.const 0)))
            (then
              (call $env.regionAbandon
                (i32.const 2)
                (i32.const 8192))
              (v128.store offset=1088
                (local.get $l2)
                (f64x2.replace_lane 0
                  (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                  (local.get $l20)))
              (br $B2)))))
      (if $I8
        (i32.eqz
          (i32.eq
            (i32.and
              (local.tee $l19
                (i32.load offset=1500
                  (local.get $l2)))
              (i32.const 28704))
            (i32.const 4128)))
        (then
          (call $env.regionAbandon
            (i32.const 3)
            (i32.const 8192))
          (v128.store offset=1088
            (local.get $l2)
            (f64x2.replace_lane 0
              (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
              (local.get $l20)))
          (br $B2)))
      (local.set $l22
        (f64.mul
          (local.get $l20)
          (local.get $l21)))
      (if $I9
        (i32.eqz
          (i32.lt_u
            (i32.sub
              (i32.wrap_i64
                (i64.shr_u
                  (i64.reinterpret_f64
                    (local.tee $l23
                      (f64.load offset=1120
                        (local.get $l2))))
                  (i64.const 31)))
              (i32.const ADDRESS))
            (i32.const ADDRESS)))
        (then
          (if $I10
            (i32.eqz
              (i64.eq
                (local.tee $l14
                  (i64.shl
                    (i64.reinterpret_f64
                      (local.get $l23))
                    (i64.const 1)))
                (i64.const 0)))
            (then
              (call $env.regionAbandon
                (i32.const 4)
                (i32.const 8192))
              (v128.store offset=1088
                (local.get $l2)
                (f64x2.replace_lane 0
                  (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                  (local.get $l22)))
              (br $B2)))))
      (local.set $l24
        (f64.add
          (local.get $l22)
          (local.get $l23)))
      (local.set $l14
        (local.get $l5))
      (local.set $l15
        (i64.load offset=131072
          (local.tee $l18
            (i32.add
              (local.get $l7)
              (i32.and
                (i32.shr_u
                  (i32.wrap_i64
                    (local.get $l14))
                  (i32.const 8))
                (i32.const 131056))))))
      (local.set $l25
        (local.tee $l12
          (i64.and
            (i64.add
              (local.get $l14)
              (i64.const 7))
            (i64.const -4096))))
      (local.set $l13
        (i32.const 0))
      (if $I11
        (i64.eq
          (local.get $l15)
          (local.get $l12))
        (then
          (local.set $l13
            (i32.load offset=131080
              (local.get $l18)))
          (f64.store
            (i32.add
              (i32.wrap_i64
                (local.get $l14))
              (local.get $l13))
            (local.get $l24)))
        (else
          (f64.store offset=1744
            (local.get $l2)
            (local.get $l24))
          (if $I12
            (i32.eqz
              (local.tee $l26
                (call $env.regionWrite
                  (local.get $l2)
                  (local.get $l14)
                  (i32.const 5)
                  (i32.const 7)
                  (local.get $l15))))
            (then
              (v128.store offset=1088
                (local.get $l2)
                (f64x2.replace_lane 0
                  (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
                  (local.get $l24)))
              (br $B2)))
          (local.set $l25
            (i64.const 2048))))
      (local.set $l12
        (i64.add
          (local.get $l6)
          (i64.const 16)))
      (v128.store offset=1088
        (local.get $l2)
        (f64x2.replace_lane 0
          (v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000)
          (local.get $l24)))
      (i64.store offset=144
        (local.get $l2)
        (local.get $l8))
      (i64.store offset=152
        (local.get $l2)
        (local.get $l9))
      (i32.store offset=160
        (local.get $l2)
        (local.get $l10))
      (i32.store offset=1724
        (local.get $l2)
        (local.get $l4))
      (i64.store offset=136
        (local.get $l2)
        (local.get $l12))
      (return_call_indirect (type $t5)
        (local.get $l2)
        (i32.const ADDRESS)
        (i32.load offset=12
          (i32.const ADDRESS)))
      (unreachable))
    (i64.store offset=144
      (local.get $l2)
      (local.get $l8))
    (i64.store offset=152
      (local.get $l2)
      (local.get $l9))
    (i32.store offset=160
      (local.get $l2)
      (local.get $l10))
    (i64.store offset=136
      (local.get $l2)
      (local.get $l6))
    (i32.store offset=1724
      (local.get $l2)
      (local.get $l4))
    (return
      (i32.const 7))
    (unreachable))
